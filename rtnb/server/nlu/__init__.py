"""Language understanding by rule: words of each language, names, numbers, intents, and tools with their arguments."""

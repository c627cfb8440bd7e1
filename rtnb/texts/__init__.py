"""Words and looks: sentences by language, refusals of wrong calls, style sheets, the player, and saving files."""

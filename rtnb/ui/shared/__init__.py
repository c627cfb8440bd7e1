"""Parts that several widgets use: the kernel link, audio in the page, icons, words, colours."""

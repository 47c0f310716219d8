"""The command line: thin, and made of what the library offers everybody."""

"""The command line: the same abilities as the page, for people and for scripts."""

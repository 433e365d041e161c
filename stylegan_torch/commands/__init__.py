"""The sub-commands of `stylegan`. They parse, call the library, and print."""

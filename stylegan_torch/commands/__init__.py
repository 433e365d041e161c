"""The sub-commands of `stylegan`. They parse, call the library, and print."""

import sys

from stylegan_torch.neighbours import in_the_way

if line := in_the_way():
    sys.exit(f"Error: {line}")

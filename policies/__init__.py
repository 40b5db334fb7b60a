"""The starter bundle, as data: `quell init` copies this folder."""

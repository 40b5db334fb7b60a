"""The policy language as text: grammar, tree, parser, printer and diagnostics."""

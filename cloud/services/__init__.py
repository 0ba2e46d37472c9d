"""The rules: one method is one use case in one transaction."""

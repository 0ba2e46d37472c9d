"""The rows of the database; private to the repositories and the migrations."""

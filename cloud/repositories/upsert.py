"""INSERT … ON CONFLICT, which both databases spell alike and SQLAlchemy does not."""

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

__all__ = ["Insert", "insert", "insert_for"]

Insert = postgresql.Insert | sqlite.Insert


def insert(connection: Connection, table: Table) -> Insert:
    return insert_for(connection.dialect.name, table)


def insert_for(dialect: str, table: Table) -> Insert:
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)

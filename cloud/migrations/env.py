"""Run by Alembic: works on the connection that it was given."""

from alembic import context

import cloud.tables.account
import cloud.tables.artifact
import cloud.tables.event
import cloud.tables.job
import cloud.tables.seat  # noqa: F401 - a table is known once its module was imported
from cloud.tables.base import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    compare_type=True,
    render_as_batch=True,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()

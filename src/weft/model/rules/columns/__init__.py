"""The rules of schedules told on columns: the same table as on nouns, for schedules of a million tiles."""

from weft.model.rules.columns.table import check_columns

__all__ = ["check_columns"]

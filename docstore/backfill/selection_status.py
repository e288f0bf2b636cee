"""
The rows that a run is limited to, for people and programs.
"""

from pydantic import BaseModel, ConfigDict

from docstore.core.selected_rows import SelectedRows


class SelectionStatus(BaseModel):
    """
    How many rows a run is about that is not about all of them.
    """

    model_config = ConfigDict(frozen=True)

    #: Ids that were named or picked, each counted once.
    ids: int
    #: Those of them that named a row when the run was asked for.
    rows: int
    #: Those that did not.
    missing: int
    #: Whether they were picked at random.
    random: bool

    @classmethod
    def of(cls, selected: SelectedRows | None) -> "SelectionStatus | None":
        """
        Return what is to be shown of a run's record; None where the run is about every row.
        """
        if selected is None:
            return None
        return cls(ids=selected.ids, rows=selected.rows, missing=selected.missing, random=selected.random)

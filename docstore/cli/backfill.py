"""`docstore backfill`: parse, run, render."""

import typer

app = typer.Typer(no_args_is_help=True)


@app.callback()
def backfill() -> None:
    """Rewrite old rows at a newer version, while others read and write them."""

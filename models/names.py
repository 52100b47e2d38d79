"""Table and column names for hand-written SQL, taken from the Peewee model and quoted."""

from peewee import Model


class Names:
    """``str(names)`` is the quoted table; each attribute is the quoted column of the model's field."""

    def __init__(self, model: type[Model]) -> None:
        self.table = f'"{model._meta.table_name}"'
        for name, field in model._meta.fields.items():
            setattr(self, name, f'"{field.column_name}"')

    def __str__(self) -> str:
        return self.table

    def __getattr__(self, name: str) -> str:
        raise AttributeError(f"the model has no field {name}")

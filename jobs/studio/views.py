"""A table's pages: list, details, export, and where allowed its one edit."""

import operator
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import reduce
from typing import Any, cast

from flask import Response, flash, request, send_file
from flask_admin import AdminIndexView, expose
from flask_admin.contrib.peewee import ModelView
from flask_admin.form import BaseForm
from markupsafe import Markup

from jobs.studio.export import write_csv
from jobs.studio.filters import filters_of
from jobs.studio.forms import Edit
from jobs.studio.tables import TABLES, Table
from models.browsing import each_row, ordered, primary_key, reading, starts_with, writing
from models.errors import QuestionRefused
from models.schema import count_rows

ROWS_A_PAGE, MOST_WORDS, MOST_FILTERS = 50, 50, 50
#: What addresses hold beside filters; any other name would become an argument of functions that are not ours.
ADDRESSED = frozenset({"page", "page_size", "sort", "desc", "search", "id", "url"})
PAGE_SECONDS, EXPORT_SECONDS = 15.0, 300.0


def shown_time(_view: object, value: datetime, _name: str) -> str:
    return value.strftime("%Y-%m-%d %H:%M:%S.") + f"{value.microsecond // 1000:03}Z"


def shown_flag(_view: object, value: bool, _name: str) -> str:
    return "yes" if value else "no"


def shown_nothing(_view: object, _value: None, _name: str) -> Markup:
    return Markup('<span class="text-muted">-</span>')


FORMATS = {datetime: shown_time, bool: shown_flag, type(None): shown_nothing}


class TableView(ModelView):  # type: ignore[misc]
    """Reads within a read-only transaction of the database's own, each request on a connection of its own."""

    can_create = can_delete = False
    can_view_details = can_export = True
    column_display_pk = True
    column_type_formatters = column_type_formatters_detail = FORMATS
    list_template, edit_template = "studio/list.html", "studio/edit.html"
    page_size = ROWS_A_PAGE
    # A count of all rows takes seconds on a large table.
    simple_list_pager = True
    named_filter_urls = True

    def __init__(self, table: Table, edit: Edit | None) -> None:
        self.table, self.edit, self.can_edit = table, edit, edit is not None
        self.column_list, self.column_details_list = list(table.columns), list(table.fields)
        self.column_labels = {name: label_of(name) for name in table.fields}
        self.column_filters = [one for name in table.fields for one in self.filters_of(name)]
        super().__init__(table.model, name=table.name, endpoint=table.name, url=f"/{table.name}")

    def filters_of(self, name: str) -> list[Any]:
        column = getattr(self.table.model, name)
        return filters_of(column, self.column_labels[name], self.table.choices.get(name, ()))

    def _run_view(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        names = [name for name, _ in request.args.items(multi=True)]
        known = all(name in ADDRESSED or name.startswith("flt") for name in names)
        if not known or len(set(names)) < len(names):
            raise QuestionRefused("this address names what no page has, or twice; go back to the table")
        if request.method == "POST":
            with writing():
                return fn(self, *args, **kwargs)
        with reading(EXPORT_SECONDS if kwargs.get("export_type") else PAGE_SECONDS):
            return fn(self, *args, **kwargs)

    def _get_list_filter_args(self) -> Any:
        """Refuses what the original leaves out with a remark, which an export would not show."""
        asked = sum(name.startswith("flt") for name in request.args)
        if asked > MOST_FILTERS:
            raise QuestionRefused(f"filter by {MOST_FILTERS} at most")
        found = super()._get_list_filter_args()
        if len(found) < asked:
            raise QuestionRefused("this address names a filter that is not here; go back to the table")
        return found

    def get_invalid_value_msg(self, value: str, filter: Any) -> str:  # noqa: A002, ARG002
        raise QuestionRefused(
            f"the filter of {filter.name} does not take such a value; go back and correct it"
        )

    def init_search(self) -> bool:
        return bool(self.table.searched)

    def search_placeholder(self) -> str:
        return "ticket ids, or how they begin" if "ticket_id" in self.table.searched else "search"

    def get_list(
        self,
        page: int | None,
        sort_column: str | None,
        sort_desc: bool | None,
        search: str | None,
        filters: Sequence[tuple[int, str, str]] | None,
        execute: bool = True,  # noqa: ARG002
        page_size: int | None = None,
    ) -> tuple[None, list[Any]]:
        """One page and no count."""
        query = self.find(sort_column, bool(sort_desc), search, filters)
        size = page_size or self.page_size
        return None, list(query.limit(size).offset(min(max(page or 0, 0), 10**9) * size))

    def find(
        self,
        sort_column: str | None,
        descending: bool,
        search: str | None,
        filters: Sequence[tuple[int, str, str]] | None,
        fields: Sequence[Any] = (),
    ) -> Any:
        query = self.model.select(*fields)
        words = (search or "").replace(",", " ").split()
        if len(words) > MOST_WORDS:
            raise QuestionRefused(f"search for {MOST_WORDS} words at most")
        wanted = [self.is_named(word) for word in words]
        if wanted and self.table.searched:
            query = query.where(any_of(wanted))
        for index, _, value in filters or ():
            query = self._filters[index].apply(query, self._filters[index].clean(value))
        if sort_column is None and self.table.newest:
            sort_column, descending = self.table.newest, True
        field = getattr(self.model, sort_column) if sort_column else primary_key(self.model)
        return ordered(query, field, descending=descending)

    def is_named(self, word: str) -> Any:
        return any_of([starts_with(getattr(self.model, name), word) for name in self.table.searched])

    def get_one(self, id: str) -> Any:  # noqa: A002
        """None for a key that no row has."""
        try:
            return self.model.get_or_none(primary_key(self.model) == id)
        except ValueError:
            raise QuestionRefused("no row can have such a key; go back to the table") from None

    def scaffold_form(self) -> type[Any]:
        return self.edit.form if self.edit else BaseForm

    def update_model(self, form: Any, model: Any) -> bool:
        """Saves what the edit names and no other column, whatever else the form holds."""
        edit = cast("Edit", self.edit)
        saved = edit.save(model, form)
        if not saved:
            flash(edit.refused, "error")
        return saved

    def _export_csv(self, return_url: str) -> Response:  # noqa: ARG002
        asked = self._get_list_extra_args()
        column = self._get_column_by_idx(asked.sort)
        fields = [getattr(self.model, name) for name in self.table.fields]
        query = self.find(column and column[0], bool(asked.sort_desc), asked.search, asked.filters, fields)
        file = write_csv(self.table.fields, each_row(query))
        name = f"{self.table.name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.csv"
        return send_file(file, "text/csv", as_attachment=True, download_name=name)


class TablesView(AdminIndexView):  # type: ignore[misc]
    """The tables, with PostgreSQL's estimate of their rows; an exact count takes seconds on a large one."""

    @expose("/")  # type: ignore[untyped-decorator]
    def index(self) -> Any:
        with reading(PAGE_SECONDS):
            return self.render("studio/tables.html", tables=TABLES, rows=count_rows())


def any_of(conditions: Sequence[Any]) -> Any:
    return reduce(operator.or_, conditions)


def label_of(name: str) -> str:
    return name.replace("_", " ")

"""What the worker remembers of its own running: the last run of each job."""

from peewee import CharField, IntegerField

from models.database import BaseModel, UtcDateTimeField


class JobRun(BaseModel):
    name = CharField(max_length=50, primary_key=True)
    last_started_at = UtcDateTimeField(null=True)
    last_finished_at = UtcDateTimeField(null=True)
    last_result = CharField(max_length=100, null=True)
    next_run_at = UtcDateTimeField(null=True)
    runs = IntegerField(default=0)
    failures = IntegerField(default=0)

    class Meta:
        table_name = "job_runs"

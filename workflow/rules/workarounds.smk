def without_rate_limit(scheduler):
    """Take away Snakemake's default limit of 100 jobs a second; one that was asked for stays.

    To keep the limit, the scheduler (Snakemake 9) looks for jobs to start a second after each time it looked, and once
    more for each job that ended, so that these timers multiply: 300 jobs that do nothing cost it 11.1 CPU seconds
    instead of 7.8.
    """
    limit = getattr(scheduler, "job_rate_limiter", None)
    if limit and (limit.max_jobs, limit.timespan) == (100, 1):
        scheduler.job_rate_limiter = None

-- Whether there is a weekday among the days from one midnight on and before another.
create or replace macro has_weekday(since, until) as
len(list_filter(range(since, until, interval 1 day), lambda day: isodow(day) < 6)) > 0;

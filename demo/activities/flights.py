"""How late are the airlines? Counts the flights of each carrier, and how many of them left late."""

import dataiku

late_after = float(dataiku.get_custom_variables().get("late_after_minutes", "15"))

flights = dataiku.Dataset("flights").get_dataframe()
print(f"{len(flights)} flights read")

# A flight without a delay never left.
departed = flights.dropna(subset=["dep_delay"])
delays = (
    departed.assign(late=departed["dep_delay"] > late_after)
    .groupby("carrier", as_index=False)
    .agg(flights=("dep_delay", "size"), mean_dep_delay=("dep_delay", "mean"), share_late=("late", "mean"))
    .sort_values("carrier")
)
dataiku.Dataset("delays_by_carrier").write_with_schema(delays)
print(f"{len(delays)} carriers written")

latest_first = delays.sort_values("share_late", ascending=False)
rows = "\n".join(
    f"<tr><td>{row.carrier}</td><td>{row.flights}</td><td>{row.mean_dep_delay:.1f}</td><td>{row.share_late:.1%}</td></tr>"
    for row in latest_first.itertuples()
)
page = f"""<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<title>Delays by carrier</title>
<h1>Delays by carrier</h1>
<p>{len(departed)} flights left; late is more than {late_after:g} minutes.</p>
<table>
<tr><th>Carrier</th><th>Flights</th><th>Mean delay (minutes)</th><th>Late</th></tr>
{rows}
</table>
</html>
"""
with dataiku.Folder("report").get_writer("summary.html") as summary:
    summary.write(page.encode("utf-8"))

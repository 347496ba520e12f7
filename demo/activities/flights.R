# How late are the airlines? Counts the flights of each carrier, and how many of them left late.

library(dataiku)

late_after <- as.numeric(dkuFlowVariable("late_after_minutes"))

flights <- dkuReadDataset("flights")
cat(nrow(flights), "flights read\n")

# A flight without a delay never left.
departed <- flights[!is.na(flights$dep_delay), ]
carriers <- sort(unique(departed$carrier))
of_carrier <- function(values, what) as.numeric(tapply(values, departed$carrier, what)[carriers])
delays <- data.frame(
  carrier = carriers,
  flights = as.integer(of_carrier(departed$dep_delay, length)),
  mean_dep_delay = of_carrier(departed$dep_delay, mean),
  share_late = of_carrier(departed$dep_delay > late_after, mean)
)
dkuWriteDataset(delays, "delays_by_carrier")
cat(nrow(delays), "carriers written\n")

latest_first <- delays[order(-delays$share_late), ]
summary_file <- file.path(dkuManagedFolderPath("report"), "summary.html")
writeLines(c(
  "<!DOCTYPE html>",
  "<html lang=\"en\">",
  "<meta charset=\"utf-8\">",
  "<title>Delays by carrier</title>",
  "<h1>Delays by carrier</h1>",
  sprintf("<p>%d flights left; late is more than %g minutes.</p>", nrow(departed), late_after),
  "<table>",
  "<tr><th>Carrier</th><th>Flights</th><th>Mean delay (minutes)</th><th>Late</th></tr>",
  sprintf(
    "<tr><td>%s</td><td>%d</td><td>%.1f</td><td>%.1f%%</td></tr>",
    latest_first$carrier, latest_first$flights, latest_first$mean_dep_delay, 100 * latest_first$share_late
  ),
  "</table>",
  "</html>"
), summary_file)

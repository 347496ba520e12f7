# Rows on their way in: CSV, piece by piece, with null and the empty text told apart, which read.csv can't do.

# Bytes that are read at a time.
.wharf$piece <- 262144L
# What stands for null and for a carriage return while R reads a piece: bytes that no text has.
.wharf$odd <- as.raw(c(1:8, 14:27))

# Opens the rows of a dataset. `classes` has a class of R for each column, or NA where the text is wanted.
.wharf_rows_open <- function(path, names, classes, na, what) {
  rows <- new.env(parent = emptyenv())
  rows$errors <- tempfile("call-")
  rows$connection <- pipe(.wharf_command("GET", path, rows$errors), "rb")
  rows$names <- names
  rows$classes <- classes
  rows$na <- na
  rows$what <- what
  rows$rest <- raw()
  rows$header <- TRUE
  rows
}

# Ends the reading before its end.
.wharf_rows_drop <- function(rows) {
  if (!is.null(rows$connection)) suppressWarnings(close(rows$connection))
  rows$connection <- NULL
  unlink(rows$errors)
}

# The next rows, as a list of columns; NULL when there are no more.
.wharf_rows_next <- function(rows) {
  repeat {
    if (is.null(rows$connection)) return(NULL)
    piece <- readBin(rows$connection, "raw", .wharf$piece)
    bytes <- if (length(rows$rest)) c(rows$rest, piece) else piece
    size <- length(bytes)
    if (length(piece)) {
      # Up to the last line that has its end.
      ends <- .wharf_unquoted(.wharf_places("\n", bytes), bytes)
      if (!length(ends)) {
        rows$rest <- bytes
        next
      }
      cut <- ends[length(ends)]
      rows$rest <- if (cut < size) bytes[(cut + 1L):size] else raw()
      bytes <- bytes[seq_len(cut)]
    } else {
      # Nothing is taken for the end that isn't one.
      status <- close(rows$connection)
      rows$connection <- NULL
      .wharf_check(status, rows$errors, paste("reading", rows$what))
      if (!size) return(NULL)
      rows$rest <- raw()
      if (bytes[size] != as.raw(10L)) bytes <- c(bytes, as.raw(10L))
    }
    if (rows$header) {
      first <- .wharf_unquoted(.wharf_places("\n", bytes), bytes)[1L]
      rows$header <- FALSE
      if (first == length(bytes)) next
      bytes <- bytes[(first + 1L):length(bytes)]
    }
    return(.wharf_scan(rows, bytes))
  }
}

.wharf_places <- function(byte, bytes) grepRaw(byte, bytes, fixed = TRUE, all = TRUE)

# Those of some places that aren't inside of quotes.
.wharf_unquoted <- function(places, bytes) {
  quotes <- .wharf_places("\"", bytes)
  if (!length(quotes)) places else places[findInterval(places, quotes) %% 2L == 0L]
}

.wharf_scan <- function(rows, bytes) {
  # Scanning would make other ends of lines of them.
  returns <- .wharf_places("\r", bytes)
  odd <- NULL
  if (length(returns)) {
    free <- .wharf$odd[!.wharf$odd %in% bytes]
    if (!length(free)) .wharf_fail("the dataset ", rows$what, " has texts that R can't read")
    odd <- free[1L]
    bytes[returns] <- odd
  }
  # A field without a byte is null. It gets a mark, by which an empty text in quotes is another thing.
  mark <- sample(.wharf$odd, 5L, replace = TRUE)
  ends <- sort(c(.wharf_places(",", bytes), .wharf_places("\n", bytes)))
  nulls <- .wharf_unquoted(ends[diff(c(0L, ends)) == 1L], bytes)
  if (length(nulls)) {
    marked <- raw(length(bytes) + 5L * length(nulls))
    places <- as.vector(outer(0:4, nulls + 5L * (seq_along(nulls) - 1L), `+`))
    marked[places] <- rep(mark, length(nulls))
    marked[-places] <- bytes
    bytes <- marked
  }
  connection <- rawConnection(bytes, "r")
  on.exit(close(connection))
  # Without names, of which any may be there twice.
  texts <- tryCatch(
    scan(connection, what = rep(list(""), length(rows$names)), sep = ",", quote = "\"", na.strings = rawToChar(mark),
         quiet = TRUE, multi.line = FALSE, blank.lines.skip = FALSE, comment.char = "", encoding = "UTF-8"),
    error = function(e) .wharf_fail("the dataset ", rows$what, " can't be read: ", conditionMessage(e))
  )
  lapply(seq_along(texts), function(at) {
    text <- texts[[at]]
    if (!is.null(odd)) {
      text <- gsub(rawToChar(odd), "\r", text, fixed = TRUE, useBytes = TRUE)
      Encoding(text) <- "UTF-8"
    }
    .wharf_convert(text, rows$classes[at], rows$na, rows$names[at])
  })
}

# Texts as values of a class; NA leaves them as they are.
.wharf_convert <- function(text, class, na, name) {
  if (is.na(class)) return(text)
  text[text %in% na] <- NA_character_
  if (class == "character") return(text)
  if (class == "factor") return(factor(text))
  if (class == "POSIXct") return(.wharf_dates(text))
  text[!nzchar(text)] <- NA_character_
  values <- suppressWarnings(switch(class,
    integer = .wharf_integers(text),
    numeric = , double = as.numeric(text),
    logical = as.logical(text),
    Date = as.Date(substr(text, 1L, 10L)),
    methods::as(text, class)
  ))
  bad <- which(is.na(values) & !is.na(text) & !(text %in% c("NaN", "NA")))
  if (length(bad)) .wharf_fail("column '", name, "' has '", text[bad[1L]], "', which isn't of the class ", class)
  values
}

# R's integers can't be the least one of the type int: a column that has it is numeric.
.wharf_integers <- function(text) {
  numbers <- as.numeric(text)
  numbers[!is.na(numbers) & numbers != trunc(numbers)] <- NA
  if (any(abs(numbers) > .Machine$integer.max, na.rm = TRUE)) numbers else as.integer(numbers)
}

# R itself finds only TRUE and FALSE in texts.
.wharf_logical <- function(column) {
  if (is.character(column) && all(is.na(column) | tolower(column) %in% c("true", "false"))) {
    return(tolower(column) == "true")
  }
  column
}

.wharf_dates <- function(text) {
  text[!nzchar(text)] <- NA_character_
  text <- sub("[Zz]$", "", sub("T", " ", text, fixed = TRUE))
  # An offset is taken off the instant that its text says.
  offset <- rep(0, length(text))
  shifted <- grepl("[0-9][+-][0-9]{2}:?[0-9]{2}$", text) & nchar(text) > 16L
  if (any(shifted)) {
    zone <- sub(":", "", sub("^.*([+-][0-9]{2}:?[0-9]{2})$", "\\1", text[shifted]), fixed = TRUE)
    sign <- ifelse(startsWith(zone, "-"), -1, 1)
    offset[shifted] <- sign * (as.numeric(substr(zone, 2, 3)) * 3600 + as.numeric(substr(zone, 4, 5)) * 60)
    text[shifted] <- sub("[+-][0-9]{2}:?[0-9]{2}$", "", text[shifted])
  }
  dates <- as.POSIXct(strptime(text, "%Y-%m-%d %H:%M:%OS", tz = "UTC"))
  short <- is.na(dates) & !is.na(text)
  if (any(short)) dates[short] <- as.POSIXct(strptime(text[short], "%Y-%m-%d", tz = "UTC"))
  dates - offset
}

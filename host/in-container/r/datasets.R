# Datasets: their schema, and their rows as data frames.

.wharf_schema <- function(name) {
  columns <- .wharf_json(.wharf_call("GET", .wharf_path("datasets", name, "schema")))$columns
  data.frame(name = vapply(columns, function(c) c$name, ""), type = vapply(columns, function(c) c$type, ""),
             stringsAsFactors = FALSE)
}

# Columns of a dataset: a data frame with `name` and `type`.
dkuReadSchema <- function(name) .wharf_schema(.wharf_resolve(name, "dataset"))

# Names of the datasets that the recipe reads.
dkuListDatasets <- function(...) .wharf_names("inputs", "dataset")

# Always "NP": datasets aren't partitioned here.
dkuListDatasetPartitions <- function(name, ...) {
  .wharf_resolve(name, "dataset")
  "NP"
}

# Where the data is: in a container nobody knows, and this says so.
dkuGetDatasetLocationInfo <- function(name, ...) {
  .wharf_resolve(name, "dataset")
  list(locationInfoType = "NONE", info = list(),
       message = "a container reads and writes this dataset through its runner, and doesn't know where it is")
}

# The part of dkuReadDataset that is the same for a whole dataset and for chunks: what is read, and from where.
.wharf_selection <- function(name, columns) {
  name <- .wharf_resolve(name, "dataset")
  schema <- .wharf_schema(name)
  path <- paste0(.wharf_path("datasets", name, "data"), "?format=csv")
  columns <- unlist(columns)
  if (!is.null(columns)) {
    unknown <- setdiff(columns, schema$name)
    if (length(unknown)) {
      .wharf_fail("the dataset ", name, " has no column '", unknown[1], "'; it has: ", .wharf_list(schema$name))
    }
    schema <- schema[match(columns, schema$name), , drop = FALSE]
    path <- paste0(path, "&columns=", paste(vapply(columns, .wharf_encode, ""), collapse = ","))
  }
  list(name = name, schema = schema, path = path)
}

# Reads a dataset into a data frame.
#
# samplingMethod: "full", "head" (the first nbRows), "fixed" (nbRows at random) or "ratio" (each with that
#   probability). With "full", nbRows changes nothing.
# columns: names of the columns to read, in that order.
# colClasses: classes of R for the columns, in order or by name. Without them R finds the classes itself, and columns
#   of type `date` are POSIXct in UTC.
# inferColClassesFromData: FALSE takes the classes from the schema; a `bigint` is then numeric, which holds 15 digits:
#   give "character" in colClasses for longer ones.
# convertEmptyStrings: whether empty texts are NA. With FALSE they stay empty texts, and nulls are NA.
dkuReadDataset <- function(name, partitions = NULL, samplingMethod = c("full", "fixed", "head", "ratio"),
                           columns = NULL, nbRows = NULL, ratio = NULL, convertEmptyStrings = TRUE, colClasses = NA,
                           inferColClassesFromData = TRUE, na.strings = "NA") {
  .wharf_no_partition(partitions)
  samplingMethod <- match.arg(samplingMethod)
  selection <- .wharf_selection(name, columns)
  schema <- selection$schema
  path <- selection$path
  if (samplingMethod == "head") {
    if (is.null(nbRows)) .wharf_fail("the sampling 'head' needs nbRows")
    path <- paste0(path, "&limit=", format(nbRows, scientific = FALSE))
  }
  if (samplingMethod == "fixed" && is.null(nbRows)) .wharf_fail("the sampling 'fixed' needs nbRows")
  if (samplingMethod == "ratio" && is.null(ratio)) .wharf_fail("the sampling 'ratio' needs ratio")
  if (!nrow(schema)) return(data.frame())

  classes <- .wharf_classes(schema, colClasses, inferColClassesFromData)
  na <- c(na.strings, if (convertEmptyStrings) "")
  rows <- .wharf_rows_open(path, schema$name, classes, na, selection$name)
  on.exit(.wharf_rows_drop(rows))
  pieces <- list()
  while (!is.null(piece <- .wharf_rows_next(rows))) pieces[[length(pieces) + 1L]] <- piece
  values <- lapply(seq_len(nrow(schema)), function(at) {
    if (!length(pieces)) return(.wharf_convert(character(), classes[at], na, ""))
    if (identical(classes[at], "factor")) return(factor(unlist(lapply(pieces, function(piece) as.character(piece[[at]])))))
    do.call(c, lapply(pieces, function(piece) piece[[at]]))
  })
  pieces <- NULL
  for (at in which(is.na(classes))) values[[at]] <- utils::type.convert(values[[at]], na.strings = na, as.is = TRUE)
  for (at in which(is.na(classes) & schema$type == "boolean")) values[[at]] <- .wharf_logical(values[[at]])
  frame <- .wharf_frame(values, schema$name, classes)
  if (samplingMethod == "fixed" && nrow(frame) > nbRows) {
    frame <- frame[sort(sample.int(nrow(frame), nbRows)), , drop = FALSE]
  }
  if (samplingMethod == "ratio") frame <- frame[stats::runif(nrow(frame)) < ratio, , drop = FALSE]
  rownames(frame) <- NULL
  frame
}

# Calls a function with one data frame after the other, of at most chunkSize rows each: as much of a dataset as is in
# memory. Gives the number of rows, invisibly. Not a function of DSS.
#
# Columns have the classes of the schema, and colClasses changes some of them; R finds none itself, because it could
# find another one in the next chunk.
dkuReadDatasetByChunks <- function(name, FUN, chunkSize = 10000L, columns = NULL, convertEmptyStrings = TRUE,
                                   colClasses = NA, na.strings = "NA") {
  if (chunkSize < 1) .wharf_fail("chunkSize must be at least 1, not ", chunkSize)
  selection <- .wharf_selection(name, columns)
  schema <- selection$schema
  if (!nrow(schema)) return(invisible(0))
  classes <- .wharf_classes(schema, colClasses, FALSE)
  na <- c(na.strings, if (convertEmptyStrings) "")
  rows <- .wharf_rows_open(selection$path, schema$name, classes, na, selection$name)
  on.exit(.wharf_rows_drop(rows))
  waiting <- NULL
  total <- 0
  repeat {
    piece <- .wharf_rows_next(rows)
    if (!is.null(piece)) {
      frame <- .wharf_frame(piece, schema$name, classes)
      waiting <- if (is.null(waiting)) frame else .wharf_bind(waiting, frame)
    }
    size <- if (is.null(waiting)) 0L else nrow(waiting)
    from <- 0L
    while (size - from >= chunkSize || (is.null(piece) && from < size)) {
      to <- min(from + chunkSize, size)
      chunk <- waiting[(from + 1L):to, , drop = FALSE]
      rownames(chunk) <- NULL
      FUN(chunk)
      total <- total + (to - from)
      from <- to
    }
    if (is.null(piece)) return(invisible(total))
    if (from > 0L) waiting <- if (from < size) waiting[(from + 1L):size, , drop = FALSE] else NULL
  }
}

# As rbind does it, which renames columns of the same name.
.wharf_bind <- function(one, other) {
  values <- lapply(seq_along(one), function(at) {
    if (is.factor(one[[at]])) return(factor(c(as.character(one[[at]]), as.character(other[[at]]))))
    c(one[[at]], other[[at]])
  })
  .wharf_frame(values, names(one), rep(NA, length(one)))
}

# A data frame of columns, whatever their names are. The class "NULL" leaves a column out, as in read.csv.
.wharf_frame <- function(values, names, classes) {
  keep <- is.na(classes) | classes != "NULL"
  values <- values[keep]
  size <- if (length(values)) length(values[[1L]]) else 0L
  structure(values, names = names[keep], row.names = .set_row_names(size), class = "data.frame")
}

# The class of each column: the one that is given, else that of its type, or NA where R is to find it.
.wharf_classes <- function(schema, colClasses, infer) {
  by_type <- c(tinyint = "integer", smallint = "integer", int = "integer", bigint = "numeric", float = "numeric",
               double = "numeric", boolean = "logical", date = "POSIXct")
  classes <- unname(by_type[schema$type])
  classes[is.na(classes)] <- "character"
  if (infer) classes[schema$type != "date"] <- NA_character_
  colClasses <- unlist(colClasses)
  if (is.null(names(colClasses))) {
    given <- rep_len(as.character(colClasses), nrow(schema))
  } else {
    given <- unname(as.character(colClasses)[match(schema$name, names(colClasses))])
  }
  ifelse(is.na(given), classes, given)
}

# Writes a data frame. Row names aren't written; NA is null, and an empty text stays an empty text.
#
# schema: whether the columns of the data frame become the dataset's schema. With FALSE the dataset's own stays, and
#   the data frame must have its columns.
# convertLists: whether columns that are lists are written as JSON.
dkuWriteDataset <- function(df, name, partition = "", schema = TRUE, convertLists = TRUE) {
  .wharf_no_partition(partition)
  if (!is.data.frame(df)) .wharf_fail("dkuWriteDataset needs a data frame, not ", class(df)[1])
  df <- as.data.frame(df, stringsAsFactors = FALSE)
  name <- .wharf_resolve_output(name, "dataset")
  columns <- if (schema) .wharf_schema_of(df) else .wharf_schema(name)
  df <- .wharf_match(df, columns, name)
  .wharf_write_schema(name, columns)
  # All is text before the first line is sent, so that a value that can't be written leaves nothing half written.
  texts <- .wharf_texts(df, columns, convertLists)
  writer <- .wharf_writer_open(name, columns)
  .wharf_writer_send(writer, texts, nrow(df))
  .wharf_writer_close(writer)
}

# Writes a dataset data frame by data frame, in bounded memory: a list of two functions, write(df) and close(). The first
# data frame sets the schema, unless `schema` is FALSE and the dataset's own stays. One that isn't closed is closed when
# the recipe has ended without an error. Not a function of DSS.
dkuDatasetWriter <- function(name, schema = TRUE, convertLists = TRUE) {
  name <- .wharf_resolve_output(name, "dataset")
  state <- new.env(parent = emptyenv())
  state$closed <- FALSE
  open <- function(columns) {
    state$columns <- columns
    .wharf_write_schema(name, columns)
    state$writer <- .wharf_writer_open(name, columns)
  }
  writer <- list(
    write = function(df) {
      if (state$closed) .wharf_fail("the writer of ", name, " is closed")
      if (!is.data.frame(df)) .wharf_fail("a writer takes data frames, not ", class(df)[1])
      if (is.null(state$writer)) open(if (schema) .wharf_schema_of(df) else .wharf_schema(name))
      df <- .wharf_match(df, state$columns, name)
      .wharf_writer_send(state$writer, .wharf_texts(df, state$columns, convertLists), nrow(df))
    },
    close = function() {
      if (state$closed) return(invisible(NULL))
      if (is.null(state$writer) && !schema) open(.wharf_schema(name))
      state$closed <- TRUE
      if (!is.null(state$writer)) .wharf_writer_close(state$writer)
      invisible(NULL)
    }
  )
  .wharf$writers[[length(.wharf$writers) + 1L]] <- writer
  writer
}

.wharf_writer_open <- function(name, columns) {
  writer <- list(name = name, errors = tempfile("call-"))
  path <- paste0(.wharf_path("datasets", name, "data"), "?format=csv")
  writer$connection <- pipe(paste(.wharf_command("PUT", path, writer$errors, TRUE), ">/dev/null"), "wb")
  .wharf_writer_lines(writer, paste(.wharf_quote(enc2utf8(columns$name)), collapse = ","))
  writer
}

.wharf_writer_send <- function(writer, texts, size) {
  rows <- 10000L
  for (before in seq(0L, max(size - 1L, 0L), by = rows)) {
    at <- before + seq_len(min(rows, size - before))
    if (length(at)) .wharf_writer_lines(writer, do.call(paste, c(lapply(texts, function(text) text[at]), sep = ",")))
  }
}

.wharf_writer_lines <- function(writer, lines) {
  tryCatch(writeLines(lines, writer$connection, useBytes = TRUE), error = function(e) {
    # The program says why it stopped reading.
    .wharf_writer_close(writer)
    .wharf_fail("the dataset ", writer$name, " can't be written: ", conditionMessage(e))
  })
}

.wharf_writer_close <- function(writer) {
  .wharf_check(close(writer$connection), writer$errors, paste("writing", writer$name))
  invisible(NULL)
}

# The columns of a data frame as the lines of CSV have them.
.wharf_texts <- function(df, columns, convertLists) {
  lapply(seq_along(df), function(at) .wharf_quote(.wharf_column_text(df[[at]], columns$type[at], convertLists)))
}

# The data frame with its columns in the order of the schema.
.wharf_match <- function(df, columns, name) {
  if (identical(names(df), columns$name)) return(df)
  if (!setequal(columns$name, names(df)) || nrow(columns) != ncol(df)) {
    .wharf_fail("the data frame doesn't have the columns of the schema of ", name, ": ", .wharf_list(columns$name))
  }
  df[match(columns$name, names(df))]
}

.wharf_schema_of <- function(df) {
  data.frame(name = names(df), type = vapply(df, .wharf_type, ""), stringsAsFactors = FALSE)
}

# Sets the columns of an output to those of a data frame.
dkuWriteDatasetSchema <- function(df, name) {
  if (!is.data.frame(df)) .wharf_fail("dkuWriteDatasetSchema needs a data frame, not ", class(df)[1])
  .wharf_write_schema(.wharf_resolve_output(name, "dataset"), .wharf_schema_of(df))
}

.wharf_write_schema <- function(name, columns) {
  .wharf_need_jsonlite()
  list <- lapply(seq_len(nrow(columns)), function(at) list(name = columns$name[at], type = columns$type[at]))
  json <- jsonlite::toJSON(list(columns = list), auto_unbox = TRUE)
  .wharf_call("PUT", .wharf_path("datasets", name, "schema"), .wharf_bytes(json))
  invisible(NULL)
}

.wharf_type <- function(column) {
  if (inherits(column, c("POSIXt", "Date"))) return("date")
  if (inherits(column, "integer64")) return("bigint")
  if (is.factor(column)) return("string")
  switch(typeof(column), logical = "boolean", integer = "int", double = "double", "string")
}

.wharf_column_text <- function(column, type, convert_lists) {
  missing <- if (is.list(column) && !inherits(column, "POSIXlt")) vapply(column, is.null, NA) else is.na(column)
  text <- if (inherits(column, "Date")) {
    .wharf_long_year(paste0(format(column, "%Y-%m-%d"), "T00:00:00.000Z"))
  } else if (inherits(column, "POSIXt")) {
    .wharf_instant(column)
  } else if (is.factor(column)) {
    as.character(column)
  } else if (is.list(column)) {
    if (!convert_lists) .wharf_fail("a column is a list: use convertLists = TRUE to write it as JSON")
    vapply(column, function(value) as.character(jsonlite::toJSON(value, auto_unbox = TRUE)), "")
  } else if (is.logical(column)) {
    tolower(as.character(column))
  } else if (is.double(column) && !inherits(column, "integer64")) {
    # The fewest digits that give the number back.
    short <- vapply(column, function(value) format(value, digits = 15L), "")
    inexact <- is.finite(column) & suppressWarnings(as.numeric(short)) != column
    short[inexact] <- sprintf("%.17g", column[inexact])
    whole <- type %in% c("tinyint", "smallint", "int", "bigint") & is.finite(column)
    short[whole] <- format(column[whole], scientific = FALSE, digits = 15L, trim = TRUE)
    short
  } else {
    as.character(column)
  }
  text[missing] <- NA_character_
  enc2utf8(text)
}

.wharf_instant <- function(column) {
  seconds <- as.numeric(as.POSIXct(column))
  # Whole milliseconds first: formatting fractions of seconds cuts them off instead of rounding.
  millis <- round(seconds * 1000)
  whole <- floor(millis / 1000)
  text <- format(as.POSIXct(whole, origin = "1970-01-01", tz = "UTC"), "%Y-%m-%dT%H:%M:%S", tz = "UTC")
  .wharf_long_year(sprintf("%s.%03dZ", text, as.integer(ifelse(is.na(whole), 0, millis - whole * 1000))))
}

# R writes a year before 1000 with fewer digits than four.
.wharf_long_year <- function(text) paste0(strrep("0", pmax(0L, 24L - nchar(text))), text)

.wharf_quote <- function(text) {
  special <- !is.na(text) & grepl("[\",\r\n]", text, useBytes = TRUE)
  text[special] <- paste0("\"", gsub("\"", "\"\"", text[special], fixed = TRUE), "\"")
  empty <- !is.na(text) & !nzchar(text)
  text[empty] <- "\"\""
  text[is.na(text)] <- ""
  text
}

# --- The names that these functions had in old versions of DSS

# A sample, for read.dataset.
full.sampling <- function() list(samplingMethod = "full")
head.sampling <- function(nbrows) list(samplingMethod = "head", nbRows = nbrows)
fixed.sampling <- function(nbrows) list(samplingMethod = "fixed", nbRows = nbrows)
ratio.sampling <- function(ratio) list(samplingMethod = "ratio", ratio = ratio)

# The same as dkuReadDataset.
read.dataset <- function(name, partitions = NULL, sampling = NULL, columns = NULL) {
  do.call(dkuReadDataset, c(list(name, partitions = partitions, columns = columns), sampling))
}

# The same as dkuWriteDataset, with the schema that the dataset has, and with the data frame's.
write.dataset <- function(df, name, partition = "") dkuWriteDataset(df, name, partition, schema = FALSE)
write.dataset_with_schema <- function(df, name, partition = "") dkuWriteDataset(df, name, partition)
write.dataset_schema <- function(df, name) dkuWriteDatasetSchema(df, name)

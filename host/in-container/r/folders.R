# Managed folders: files by path, or as a whole in a local directory.

.wharf_elements <- function(path) {
  elements <- strsplit(path, "/", fixed = TRUE)[[1]]
  elements <- elements[nzchar(elements)]
  if (any(elements %in% c(".", ".."))) .wharf_fail("'", path, "' isn't a path in a managed folder")
  elements
}

.wharf_file <- function(folder, path) do.call(.wharf_path, as.list(c("folders", folder, "files", .wharf_elements(path))))

.wharf_files <- function(folder) {
  .wharf_flush(folder)
  .wharf_json(.wharf_call("GET", .wharf_path("folders", folder, "files")))
}

# Downloads straight to a file, whatever its size.
.wharf_fetch <- function(folder, path, file) {
  errors <- tempfile("call-")
  status <- system(paste(.wharf_command("GET", .wharf_file(folder, path), errors), ">", shQuote(file)))
  .wharf_check(status, errors, paste("downloading", path))
}

# A directory with a copy of the whole folder, made at the first call.
#
# In an output, what is added, changed or removed there is sent back by the other functions for folders and when the
# recipe has ended well. In an input, changes go nowhere.
dkuManagedFolderPath <- function(name) {
  name <- .wharf_resolve(name, "folder")
  if (!is.null(.wharf$copies[[name]])) return(.wharf$copies[[name]]$path)
  directory <- tempfile("folder-")
  .wharf_copy(name, directory)
  .wharf$copies[[name]] <- list(path = directory, known = .wharf_stamps(directory))
  directory
}

.wharf_copy <- function(name, directory) {
  dir.create(directory, recursive = TRUE, showWarnings = FALSE)
  if (!dir.exists(directory)) .wharf_fail("the directory '", directory, "' can't be made")
  for (info in .wharf_files(name)) {
    file <- file.path(directory, paste(.wharf_elements(info$path), collapse = "/"))
    dir.create(dirname(file), recursive = TRUE, showWarnings = FALSE)
    .wharf_fetch(name, info$path, file)
    Sys.setFileTime(file, as.POSIXct(info$modified / 1000, origin = "1970-01-01"))
  }
}

# Writes a file of a folder, and of its copy when there is one.
.wharf_send <- function(name, path, body) {
  .wharf_call("PUT", .wharf_file(name, path), body)
  copy <- .wharf$copies[[name]]
  if (is.null(copy)) return(invisible(NULL))
  file <- file.path(copy$path, paste(.wharf_elements(path), collapse = "/"))
  dir.create(dirname(file), recursive = TRUE, showWarnings = FALSE)
  if (is.raw(body)) writeBin(body, file) else file.copy(body, file, overwrite = TRUE)
  .wharf$copies[[name]]$known <- .wharf_stamps(copy$path)
  invisible(NULL)
}

.wharf_stamps <- function(directory) {
  files <- list.files(directory, recursive = TRUE, all.files = TRUE, no.. = TRUE)
  info <- file.info(file.path(directory, files), extra_cols = FALSE)
  stats::setNames(paste(info$size, format(as.numeric(info$mtime), digits = 17)), files)
}

# Sends what changed in the copy of an output.
.wharf_flush <- function(folder) {
  copy <- .wharf$copies[[folder]]
  if (is.null(copy) || !folder %in% .wharf_names("outputs", "folder")) return(invisible(NULL))
  now <- .wharf_stamps(copy$path)
  for (path in names(now)) {
    if (!identical(unname(copy$known[path]), unname(now[path]))) {
      .wharf_call("PUT", .wharf_file(folder, path), file.path(copy$path, path))
    }
  }
  for (path in setdiff(names(copy$known), names(now))) .wharf_call("DELETE", .wharf_file(folder, path))
  .wharf$copies[[folder]]$known <- now
  invisible(NULL)
}

# R calls this at the end of a recipe that didn't fail. An error here makes R fail.
.Last <- function() {
  for (writer in .wharf$writers) writer$close()
  for (folder in names(.wharf$copies)) .wharf_flush(folder)
}

# Paths of all files of a folder, each with a slash in front.
dkuManagedFolderPartitionPaths <- function(name, partition = NULL) {
  .wharf_no_partition(partition)
  name <- .wharf_resolve(name, "folder")
  sort(vapply(.wharf_files(name), function(info) paste0("/", info$path), ""))
}

# The directory of a partition, of which there is one: the copy of the whole folder.
dkuManagedFolderPartitionFolder <- function(name, partition = NULL) {
  .wharf_no_partition(partition)
  dkuManagedFolderPath(name)
}

# Whether partitions are directories: there are none here.
dkuManagedFolderDirectoryBasedPartitioning <- function(name) {
  .wharf_resolve(name, "folder")
  FALSE
}

# The same as dkuManagedFolderPartitionPaths.
dkuManagedFolderPathList <- function(name, partition = NULL) dkuManagedFolderPartitionPaths(name, partition)

# What is at a path: whether it exists, whether it is a directory, its size, its time.
dkuManagedFolderPathDetails <- function(folder_id, path) {
  name <- .wharf_resolve(folder_id, "folder")
  elements <- .wharf_elements(path)
  whole <- paste(elements, collapse = "/")
  files <- .wharf_files(name)
  paths <- vapply(files, function(info) info$path, "")
  exact <- which(paths == whole)
  below <- which(if (nzchar(whole)) startsWith(paths, paste0(whole, "/")) else rep(TRUE, length(paths)))
  list(
    exists = length(exact) > 0L || length(below) > 0L || !nzchar(whole),
    directory = !length(exact) && (length(below) > 0L || !nzchar(whole)),
    fullPath = paste0("/", whole),
    name = if (length(elements)) elements[length(elements)] else "/",
    pathElts = elements,
    size = sum(vapply(files[c(exact, below)], function(info) as.numeric(info$size), 0)),
    lastModified = max(0, vapply(files[c(exact, below)], function(info) as.numeric(info$modified), 0))
  )
}

# What the run knows of a folder.
dkuManagedFolderInfo <- function(name, ...) {
  name <- .wharf_resolve(name, "folder")
  list(id = name, projectKey = .wharf_project(), name = name, type = "container")
}

# The contents of a file: "raw" (the default), "text" (one text, UTF-8) or "parsed" (JSON as a list).
dkuManagedFolderDownloadPath <- function(name, path, as = NULL) {
  name <- .wharf_resolve(name, "folder")
  .wharf_flush(name)
  bytes <- .wharf_call("GET", .wharf_file(name, path))
  switch(match.arg(as, c("raw", "text", "parsed")),
         raw = bytes, text = .wharf_text(bytes), parsed = .wharf_json(bytes))
}

# Writes a file from a raw vector, from texts (a line each; a single one as it is) or from a connection.
dkuManagedFolderUploadPath <- function(name, path, data) {
  name <- .wharf_resolve_output(name, "folder")
  if (inherits(data, "connection")) {
    if (!isOpen(data)) {
      open(data, "rb")
      on.exit(close(data), add = TRUE)
    }
    file <- tempfile("body-")
    on.exit(unlink(file), add = TRUE)
    out <- file(file, "wb")
    repeat {
      piece <- readBin(data, "raw", 1048576L)
      if (!length(piece)) break
      writeBin(piece, out)
    }
    close(out)
    data <- file
  } else if (is.character(data)) {
    data <- .wharf_bytes(if (length(data) == 1L) data else paste0(data, "\n", collapse = ""))
  } else if (!is.raw(data)) {
    .wharf_fail("dkuManagedFolderUploadPath takes a raw vector, texts or a connection, not ", class(data)[1])
  }
  .wharf_flush(name)
  .wharf_send(name, path, data)
}

# Copies the files of a local directory into a folder. What is in the folder and not in the directory stays.
dkuManagedFolderCopyFromLocal <- function(folder_id, source_base_path) {
  name <- .wharf_resolve_output(folder_id, "folder")
  if (!dir.exists(source_base_path)) .wharf_fail("'", source_base_path, "' isn't a directory of this container")
  .wharf_flush(name)
  for (path in list.files(source_base_path, recursive = TRUE, all.files = TRUE, no.. = TRUE)) {
    .wharf_send(name, path, file.path(source_base_path, path))
  }
  invisible(NULL)
}

# Copies the files of a folder into a local directory, which is made if it isn't there. What else is in it stays.
dkuManagedFolderCopyToLocal <- function(folder_id, local_base_path) {
  name <- .wharf_resolve(folder_id, "folder")
  .wharf_copy(name, local_base_path)
  invisible(NULL)
}

# Removes a file, or everything in a directory.
dkuManagedFolderDeletePath <- function(name, path) {
  name <- .wharf_resolve_output(name, "folder")
  whole <- paste(.wharf_elements(path), collapse = "/")
  paths <- vapply(.wharf_files(name), function(info) info$path, "")
  found <- paths[paths == whole | startsWith(paths, paste0(whole, "/")) | !nzchar(whole)]
  # A path that isn't there is for the host to say.
  for (each in if (length(found)) found else path) .wharf_call("DELETE", .wharf_file(name, each))
  copy <- .wharf$copies[[name]]
  if (!is.null(copy)) {
    unlink(file.path(copy$path, found))
    .wharf$copies[[name]]$known <- .wharf_stamps(copy$path)
  }
  invisible(NULL)
}

# The same as dkuManagedFolderDeletePath.
dkuManagedFolderClearPath <- function(name, path) dkuManagedFolderDeletePath(name, path)

# Removes all files.
dkuManagedFolderClear <- function(name) {
  name <- .wharf_resolve_output(name, "folder")
  if (length(.wharf_files(name))) dkuManagedFolderDeletePath(name, "/")
  invisible(NULL)
}

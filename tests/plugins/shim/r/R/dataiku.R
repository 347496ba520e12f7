# The variables that expect.py sets say which example this is.
.example <- function() jsonlite::fromJSON(file.path(Sys.getenv("SHIM_EXAMPLE"), "example.json"))

.short <- function(path) sub("\\.csv$", "", basename(path))

.names <- function(side, role) {
  project <- .example()$project
  paths <- unlist(.example()[[side]][[role]])
  if (!length(paths)) return(character())
  paste0(if (is.null(project)) "" else paste0(project, "."), .short(paths))
}

.find <- function(name) {
  name <- sub("^.*[.]", "", name)
  for (side in c("inputs", "outputs")) {
    for (path in unlist(.example()[[side]])) {
      if (.short(path) == name) return(file.path(Sys.getenv(if (side == "inputs") "SHIM_EXAMPLE" else "SHIM_OUT"), path))
    }
  }
  stop("the example has no ", name)
}

dkuCustomRecipeInputNamesForRole <- function(role) .names("inputs", role)
dkuCustomRecipeOutputNamesForRole <- function(role) .names("outputs", role)
dkuCustomRecipeConfig <- function() .example()$parameters
dkuCustomRecipeResource <- function() file.path(Sys.getenv("SHIM_PLUGIN"), "resource")
dkuFlowVariable <- function(name) stop("the shim has no variables")
dkuListDatasetPartitions <- function(name) "NP"
dkuGetDatasetLocationInfo <- function(name) list(locationInfoType = "NONE")
dku__resolve_smart_name <- function(name) name
dku__ref_to_name <- function(ref) sub("^.*[.]", "", ref)

dkuReadDataset <- function(name, columns = NULL, colClasses = NA, ...) {
  path <- .find(name)
  all <- names(utils::read.csv(path, nrows = 1, check.names = FALSE))
  if (!is.null(columns) && !all(is.na(colClasses))) {
    kinds <- rep("NULL", length(all))
    kinds[match(columns, all)] <- colClasses
  } else {
    # Dates stay texts.
    schema <- jsonlite::fromJSON(paste0(path, ".schema.json"))$columns
    kinds <- unname(c(tinyint = "integer", smallint = "integer", int = "integer", bigint = "numeric", float = "numeric",
                      double = "numeric", boolean = NA)[schema$type])
    kinds[is.na(kinds)] <- "character"
  }
  data <- utils::read.csv(path, colClasses = kinds, check.names = FALSE, na.strings = "", encoding = "UTF-8")
  if (is.null(columns)) data else data[columns]
}

dkuWriteDataset <- function(df, name, ...) {
  utils::write.csv(as.data.frame(df), .find(name), row.names = FALSE, na = "", fileEncoding = "UTF-8")
}

dkuManagedFolderDirectoryBasedPartitioning <- function(name) FALSE
dkuManagedFolderPartitionPaths <- function(name, ...) paste0("/", sort(list.files(.find(name), recursive = TRUE)))
dkuManagedFolderPath <- function(name) .find(name)

dkuManagedFolderDownloadPath <- function(name, path, ...) {
  file <- file.path(.find(name), path)
  readBin(file, "raw", file.info(file)$size)
}

dkuManagedFolderUploadPath <- function(name, path, data) {
  file <- file.path(.find(name), path)
  dir.create(dirname(file), recursive = TRUE, showWarnings = FALSE)
  out <- file(file, "wb")
  if (inherits(data, "connection")) {
    while (length(piece <- readBin(data, "raw", 1048576L))) writeBin(piece, out)
  } else {
    writeBin(data, out)
  }
  close(out)
}

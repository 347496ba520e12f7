# What DSS has and a container doesn't: there, and an error at the call.

.wharf_not_here <- function(name, why) {
  force(name)
  force(why)
  function(...) .wharf_fail(name, " isn't available here: ", why)
}

local({
  dss <- "a container has no connection to DSS: do that in a recipe that runs on the DSS server"
  sql <- paste("a container has no access to SQL connections: read the table as an input dataset,",
               "or do the query in an SQL recipe before this one")
  insights <- "insights belong to the DSS server, which a container can't reach: write the file to a managed folder"
  notebooks <- "it is for notebooks"
  missing <- c(
    dkuDSSSettings = dss, dkuGetAuthInfo = dss, dkuGetAuthInfoFromBrowserHeaders = dss,
    dkuGetAuthInfoFromRookRequest = dss, dkuGetTicketFromBrowserHeaders = dss, dkuDownloadProjectLibraries = dss,
    dkuSourceLibR = dss, dkuUsePluginLibs = dss,
    dkuGetConnectionInfo = "a container has no access to connections",
    dkuSQLQueryToData = sql, dkuSQLExecRecipeFragment = sql,
    dkuSaveInsight = insights, dkuSaveGgplotInsight = insights, dkuSaveGgvisInsight = insights,
    dkuSaveDygraphInsight = insights, dkuSaveGooglevisInsight = insights, dkuSavePlotlyInsight = insights,
    dkuDisplayDygraph = notebooks, dkuDisplayGgvis = notebooks, dkuDisplayGooglevis = notebooks
  )
  space <- parent.env(environment())
  for (name in names(missing)) assign(name, .wharf_not_here(name, missing[[name]]), envir = space)
})

library(dataiku)

config <- dkuCustomRecipeConfig()
text <- dkuReadDataset(dkuCustomRecipeInputNamesForRole("text")[1])
spice <- readLines(file.path(dkuCustomRecipeResource(), "spice.txt"))
words <- unlist(strsplit(text[[config[["column"]]]], " "))
counts <- as.data.frame(table(word = c(words, spice)), stringsAsFactors = FALSE)
names(counts) <- c("word", "count")
dkuWriteDataset(counts[order(counts$word), ], dkuCustomRecipeOutputNamesForRole("counts")[1])

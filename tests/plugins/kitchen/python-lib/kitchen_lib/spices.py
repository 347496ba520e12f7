def season(what):
    return what + " and pepper"

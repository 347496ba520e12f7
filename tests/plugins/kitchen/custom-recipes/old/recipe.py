import dataiku

print "as it was"

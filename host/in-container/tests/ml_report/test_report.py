"""The report as a text: whole, escaped, asking for nothing, and small."""

from html.parser import HTMLParser
import re

from ml_report import models, saved

from wharf_ml import report

_VOID = {"meta", "br", "hr"}
#: Elements that the report is made of; any other one came from data.
_KNOWN = set(
    "html head meta title style body header main footer nav section h1 h2 h3 p a ul li dl dt dd div strong "
    "small span bdi "
    "table thead tbody tr th td details summary pre figure figcaption br "
    "svg desc line polyline rect circle text".split()
)


class Page(HTMLParser):
    """Elements, attributes and texts of a page; fails on elements that aren't closed in order."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.names, self.attributes, self.texts, self.headings, self.ids = [], [], [], [], [], []
        self.figures = {}
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, (tag, self.open)

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.texts.append(data)
            if self.open[-1] in ("h1", "h2", "h3"):
                self.headings.append(data)


class Reports(models.MlCase):
    @classmethod
    def setUpClass(cls):
        cls.saved = {name: make() for name, make in saved.EACH.items()}
        cls.pages = {name: report.write(found) for name, found in cls.saved.items()}

    def test_well_formed_and_alone(self):
        for name, text in self.pages.items():
            with self.subTest(name):
                page = Page(text)
                self.assertEqual(set(page.names) - _KNOWN, set())
                for tag, attribute, value in page.attributes:
                    self.assertFalse(attribute.startswith("on"), (tag, attribute))
                    self.assertNotIn(
                        attribute, ("src", "srcset", "style", "action", "formaction", "xlink:href", "background")
                    )
                    if attribute == "href":
                        self.assertRegex(value, r"\A#[a-z]+\Z")
                self.assertNotRegex(text, r"(?i)url\(|@import|https?://")
                self.assertIn("default-src 'none'", text.replace("&#x27;", "'"))
                ids = [value for _, attribute, value in page.attributes if attribute == "id"]
                self.assertEqual(len(ids), len(set(ids)))
                links = {value[1:] for _, attribute, value in page.attributes if attribute == "href"}
                self.assertEqual(links - set(ids), set())
                self.assertLess(len(text.encode("utf-8")), 1_000_000)

    def test_everything_is_there(self):
        want = {
            "binary": [
                "Confusion matrix",
                "ROC curve",
                "Precision and recall",
                "Cumulative gain and lift",
                "Calibration",
                "Thresholds",
                "Predicted probabilities",
                "Importance of columns",
                "Differences",
                "Models tried",
            ],
            "multiclass": ["Confusion matrix", "ROC curves, each class against the rest", "Calibration of each class"],
            "regression": ["Predicted and true values", "Residuals", "Distribution of residuals", "Drift of the data"],
            "clustering": ["Sizes of clusters", "Map of the rows", "What is special about each cluster"],
        }
        for name, titles in want.items():
            headings = Page(self.pages[name]).headings
            for title in titles:
                self.assertIn(title, headings, name)

    def test_the_numbers_are_the_evaluation_s(self):
        entry = self.saved["binary"]["metrics"]["test"]["metrics"]["roc_auc"]
        texts = Page(self.pages["binary"]).texts
        self.assertIn("%.4g" % entry["value"], texts)
        self.assertIn("95\u202f%% interval: %.4g to %.4g" % (entry["low"], entry["high"]), texts)
        self.assertIn(" ± 0.02", texts)
        self.assertIn("failed: no neighbours", texts)
        matrix = self.saved["binary"]["metrics"]["test"]["confusion"]["matrix"]
        self.assertIn(str(matrix[0][0]), texts)

    def test_names_are_texts(self):
        page = Page(self.pages["hostile"])
        whole = "\n".join(page.texts)
        for name in ("<script>window.hurt = 1</script>", "\"><img src=x onerror='window.hurt = 1'>", "&lt;b&gt; &amp;"):
            self.assertIn(name, whole)
        self.assertNotIn("script", page.names)
        self.assertNotIn("\u202e", self.pages["hostile"])
        self.assertNotIn("\x00", self.pages["hostile"])
        self.pages["hostile"].encode("utf-8")

    def test_the_policy_knows_the_style(self):
        import base64
        import hashlib

        text = self.pages["binary"]
        css = re.search(r"<style>(.*?)</style>", text, re.S).group(1)
        digest = base64.b64encode(hashlib.sha256(css.encode("utf-8")).digest()).decode("ascii")
        self.assertIn("sha256-" + digest, text)

    def test_figures_can_be_read_without_seeing(self):
        for name, text in self.pages.items():
            drawn = re.findall(r"<svg[^>]*role=\"img\"[^>]*>(<title>[^<]+</title><desc>[^<]+</desc>)?", text)
            self.assertTrue(drawn and all(drawn), name)
            self.assertEqual(text.count("<svg"), text.count('role="img"') + text.count('aria-hidden="true"'))

    def test_same_twice(self):
        self.assertEqual(report.write(self.saved["binary"]), self.pages["binary"])

    def test_parts_may_be_missing(self):
        for found in self.saved.values():
            for part in found:
                Page(report.write(dict(found, **{part: None})))
            Page(report.write({part: None for part in found}))
        Page(report.write({}))

    def test_reasons_instead_of_figures(self):
        X, y = models.answers([0, 1], 30)
        task = {"prediction_type": "binary", "target": "t"}
        one = models.evaluation_of([0, 1], X, [1] * 30, task)
        none = models.evaluation_of([0, 1], X[:0], [], task)
        page = Page(
            report.write({"task": task, "metrics": {"test": one, "train": none}, "explanations": {"why_not": "x is y"}})
        )
        texts = " ".join(page.texts)
        self.assertIn("Not drawn: the rows have a single class.", texts)
        self.assertIn("the split test has no rows", texts)
        self.assertIn("Not explained: x is y.", texts)

    def test_the_largest_one(self):
        """As many classes, columns and models as anything keeps: still a page that a browser opens at once."""
        classes = ["a class with a rather long name %d" % at for at in range(150)]
        X, y = models.answers(classes, 1000, skill=4)
        task = {
            "prediction_type": "multiclass",
            "target": "t" * 5000,
            "features": {"x%d" % at: {"role": "input"} for at in range(5000)},
        }
        names = ["a column with a rather long name %d " % at * 4 for at in range(2000)]
        values = ["value %d" % at for at in range(12)]
        found = {
            "task": task,
            "schema": [{"name": name, "type": "string"} for name in names],
            "metrics": dict.fromkeys(("test", "train"), models.evaluation_of(classes, X, y, task)),
            "explanations": {
                "prediction_type": "multiclass",
                "importances": [{"feature": name, "mean": 0.1, "std": 0.1} for name in names],
                "partial_dependence": [
                    {
                        "feature": name,
                        "kind": "category",
                        "values": values,
                        "outputs": classes[:5],
                        "means": [[0.2] * 12] * 5,
                    }
                    for name in names
                ],
            },
            "models": [{"algorithm": "knn", "parameters": {"n": "x" * 1000}, "score": 0.1, "seconds": 1}] * 5000,
            "drift": {
                "rows": 1,
                "rows_old": 1,
                "new_columns": names,
                "features": [
                    {
                        "feature": name,
                        "drift": "strong",
                        "psi": 1.0,
                        "new_categories": names[:20],
                        "bins": {"categories": names[:12], "old": [0.1] * 12, "new": [0.2] * 12},
                    }
                    for name in names
                ],
            },
        }
        text = report.write(found)
        Page(text)
        self.assertLess(len(text.encode("utf-8")), 1_000_000)

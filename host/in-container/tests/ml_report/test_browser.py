"""The report in a real browser: every plot is drawn, nothing complains, nothing is asked for, nothing is too wide."""

import os
import shutil
import tempfile
import unittest

from ml_report import models, saved
from ml_report.browser import PROGRAM, Browser

from wharf_ml import report

_LOOK = """({
  scrolls: document.scrollingElement.scrollWidth - window.innerWidth,
  width: window.innerWidth,
  plots: document.querySelectorAll('figure > svg').length,
  empty: [...document.querySelectorAll('figure > svg')].filter(svg => !svg.querySelector('.mark')).length,
  unseen: [...document.querySelectorAll('figure > svg')].filter(svg => svg.getBoundingClientRect().width < 200).length,
  broken: [...document.querySelectorAll('svg *')].filter(each => /NaN|None|inf/.test(
    [...each.attributes].filter(one => one.name != 'class').map(one => one.value).join())).length,
  outside: [...document.querySelectorAll('figure > svg text')].filter(text => {
    const own = text.getBoundingClientRect(), all = text.closest('svg').getBoundingClientRect();
    return own.left < all.left - 2 || own.right > all.right + 2;
  }).map(text => text.textContent),
  scripts: document.scripts.length,
  hurt: typeof window.hurt,
  ink: getComputedStyle(document.body).color,
  page: getComputedStyle(document.body).backgroundColor,
  smallest: Math.min(
    ...[...document.querySelectorAll('figure > svg text')].map(text => text.getBoundingClientRect().height)),
})"""
#: How many plots each of them has at least.
_PLOTS = {"binary": 11, "multiclass": 10, "regression": 8, "clustering": 3, "hostile": 10}


@unittest.skipUnless(PROGRAM, "no chromium is installed")
class InABrowser(models.MlCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="wharf-report-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        for name, make in saved.EACH.items():
            with open(os.path.join(cls.folder, name + ".html"), "w", encoding="utf-8") as stream:
                stream.write(report.write(make()))
        cls.browser = Browser()
        cls.addClassCleanup(cls.browser.close)

    def look(self, name, width, dark=False):
        path = os.path.join(self.folder, name + ".html")
        self.browser.open(path, width, dark)
        found = self.browser.value(_LOOK)
        self.assertEqual(self.browser.complaints(), [])
        self.assertEqual(self.browser.requests(), ["file://" + path])
        return found

    def test_every_report(self):
        for name, plots in _PLOTS.items():
            for width in (400, 1200):
                with self.subTest(name=name, width=width):
                    found = self.look(name, width)
                    self.assertEqual(found["width"], width)
                    self.assertLessEqual(found["scrolls"], 0)
                    self.assertGreaterEqual(found["plots"], plots)
                    self.assertEqual(
                        (found["empty"], found["unseen"], found["broken"], found["outside"]), (0, 0, 0, [])
                    )
                    self.assertEqual((found["scripts"], found["hurt"]), (0, "undefined"))
                    self.assertGreater(found["smallest"], 9)

    def test_light_and_dark(self):
        light, dark = self.look("binary", 400), self.look("binary", 400, dark=True)
        brightness = lambda colour: sum(int(part) for part in colour.strip("rgb()").split(","))  # noqa: E731
        self.assertGreater(brightness(light["page"]), brightness(light["ink"]) + 300)
        self.assertGreater(brightness(dark["ink"]), brightness(dark["page"]) + 300)

    def test_it_would_be_noticed(self):
        """The same look at a page with everything that it is there to find."""
        path = os.path.join(self.folder, "bad.html")
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(
                "<!doctype html><body><div style='width: 900px'>wide</div><figure><svg width=300></svg></figure>"
                "<script>window.hurt = 1; console.error('bad'); fetch('missing.json').catch(() => 0)</script>"
            )
        self.browser.open(path, 400)
        found = self.browser.value(_LOOK)
        self.assertGreater(found["scrolls"], 400)
        self.assertEqual((found["empty"], found["hurt"], found["scripts"]), (1, "number", 1))
        self.assertTrue(self.browser.complaints())
        self.assertGreater(len(self.browser.requests()), 1)

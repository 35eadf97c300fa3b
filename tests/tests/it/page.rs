//! The page of schedules in a real browser: what is drawn, and what a click and a key do.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use autopipe_schedule::render::{Chart, html};
use autopipe_schedule::{
    Analysis, Costs, Extent, Kind, Timeline, analyze, generate, lower, simulate, validate,
};
use serde_json::Value;

use crate::browser::{Browser, pixel};

/// Colours as `rgb` has them: those of F and of the frames, on a light and on a dark page.
const F_LIGHT: [u64; 3] = [0x3a, 0x76, 0xc4];
const F_DARK: [u64; 3] = [0x4f, 0x87, 0xd6];
const NEEDS: [u64; 3] = [0xb3, 0x26, 0x1e];
const FEEDS: [u64; 3] = [0x0b, 0x57, 0xd0];

const RIGHT: char = '\u{e014}';
const DOWN: char = '\u{e015}';
const ENTER: char = '\u{e007}';
const ESCAPE: char = '\u{e00c}';

const TITLE: &str = "1F1B </script><script>document.title = 'taken'</script>";

/// A page with two schedules of four ranks, 1F1B and GPipe.
struct Page {
    browser: Browser,
    timeline: Timeline,
    analysis: Analysis,
}

#[test]
fn a_click_shows_an_action_and_what_it_depends_on() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let page = Page::open(folder.path())?;
    page.draws_what_it_was_given()?;
    page.shows_what_is_pointed_at()?;
    page.keeps_what_is_clicked()?;
    page.lights_up_the_critical_path()?;
    page.zooms_and_pans()?;
    page.goes_by_keys()?;
    page.turns_dark()?;
    assert_eq!(page.browser.errors()?, [""; 0]);
    Ok(())
}

impl Page {
    fn open(folder: &std::path::Path) -> Result<Self> {
        let (timeline, analysis) = simulated(Kind::OneFOneB)?;
        let (second, its_analysis) = simulated(Kind::GPipe)?;
        let page = html(&[
            Chart { title: TITLE, timeline: &timeline, analysis: &analysis },
            Chart { title: "GPipe", timeline: &second, analysis: &its_analysis },
        ]);
        let file = folder.join("page.html");
        std::fs::write(&file, page)?;
        let browser = Browser::start()?;
        browser.open(&file)?;
        Ok(Self { browser, timeline, analysis })
    }

    fn draws_what_it_was_given(&self) -> Result<()> {
        assert_eq!(self.browser.run("return document.scripts.length")?, 2);
        assert_eq!(self.browser.run("return document.title")?, format!("{TITLE}, GPipe"));
        assert_eq!(self.browser.run("return document.querySelector('h2').textContent")?, TITLE);
        assert_eq!(self.color("timeline", self.corner(0, 0, "0F0")?)?, F_LIGHT);
        assert_eq!(self.color("timeline", self.corner(0, 3, "3F4")?)?, F_LIGHT);
        let [first, last] = ["0F0", "0B7"].map(|action| self.place(0, action));
        let [first, last] = [self.rectangle(0, 0, first?)?, self.rectangle(0, 0, last?)?];
        // The timeline fills the canvas: a backward of twice a forward ends after all 33 units.
        let whole = last[0] + last[2] - first[0];
        assert!((whole / first[2] - self.timeline.makespan()).abs() < 0.01, "{first:?} {last:?}");
        let most = self.browser.run("return document.querySelector('canvas.memory').ariaLabel")?;
        let most = most.as_str().context("a name")?;
        assert!(
            most.ends_with(
                "rank 0 at most 4, rank 1 at most 3, rank 2 at most 2, rank 3 at most 1"
            )
        );
        Ok(())
    }

    fn shows_what_is_pointed_at(&self) -> Result<()> {
        assert_eq!(self.fact("action")?, Value::Null);
        self.browser.point(self.middle(0, 2, "2B3")?)?;
        assert_eq!((self.fact("action")?, self.fact("pinned")?), ("2B3".into(), "false".into()));
        self.browser.point((5.0, 790.0))?;
        assert_eq!(self.fact("action")?, Value::Null, "the pointer has left");
        Ok(())
    }

    fn keeps_what_is_clicked(&self) -> Result<()> {
        let step = self.place(2, "2F2")?;
        self.browser.click(self.middle(0, 2, "2F2")?)?;
        self.browser.point((5.0, 790.0))?;
        assert_eq!((self.fact("action")?, self.fact("pinned")?), ("2F2".into(), "true".into()));
        assert_eq!((self.fact("rank")?, self.fact("step")?), ("2".into(), step.to_string().into()));
        let span = self.timeline.rows()[2][step];
        assert_eq!(self.shown("start")?, span.start.to_string());
        assert_eq!(self.shown("end")?, span.end.to_string());
        assert_eq!(self.shown("slack")?, self.analysis.slack[2][step].to_string());
        let here = |place: &autopipe_schedule::Place| (place.rank.index(), place.step) == (2, step);
        let is_critical = self.analysis.critical_path.iter().any(here);
        assert_eq!(self.shown("critical")?, if is_critical { "yes" } else { "no" });

        let needs: BTreeSet<String> = (self.analysis.dependencies[2][step].iter())
            .map(|at| self.timeline.rows()[at.rank.index()][at.step].action.to_string())
            .collect();
        assert_eq!(self.linked("waits")?, needs);
        assert!(needs.contains("2RECV_F2"), "{needs:?}");
        let feeds = self.linked("feeds")?;
        assert!(feeds.contains("2B2"), "its backward waits for it: {feeds:?}");
        // They are framed in the picture too: in red what it waits for, in blue what waits for it.
        assert!(self.frame(2, "2RECV_F2")?.contains(&NEEDS));
        assert!(self.frame(2, "2B2")?.contains(&FEEDS));
        assert!(!self.frame(1, "1F5")?.iter().any(|c| [NEEDS, FEEDS].contains(c)));

        // A dependency leads on, and a click beside everything lets go.
        self.browser.run("document.querySelector('[data-fact=waits] button').click()")?;
        assert!(needs.contains(self.fact("action")?.as_str().context("an action")?));
        let [x, y, width, height] = self.rectangle(0, 3, self.place(3, "3F0")?)?;
        self.browser.click((x - 3.0 * width, y + height / 2.0))?;
        assert_eq!(self.fact("action")?, Value::Null);
        assert!(!self.frame(2, "2B1")?.contains(&FEEDS));
        Ok(())
    }

    fn lights_up_the_critical_path(&self) -> Result<()> {
        let is_critical = |rank: usize, action: &str| -> Result<bool> {
            let step = self.place(rank, action)?;
            let mut path = self.analysis.critical_path.iter();
            Ok(path.any(|place| (place.rank.index(), place.step) == (rank, step)))
        };
        assert!(is_critical(0, "0F0")? && !is_critical(1, "1F1")?, "as the test assumes");
        self.browser.run("document.getElementById('critical').click()")?;
        self.browser.point((5.0, 790.0))?;
        assert_eq!(self.color("timeline", self.corner(0, 0, "0F0")?)?, F_LIGHT);
        let faded = self.color("timeline", self.corner(0, 1, "1F1")?)?;
        assert!(faded.iter().zip(F_LIGHT).all(|(now, full)| *now > full), "{faded:?}");
        self.browser.run("document.getElementById('critical').click()")?;
        self.browser.point((6.0, 790.0))?;
        assert_eq!(self.color("timeline", self.corner(0, 1, "1F1")?)?, F_LIGHT);
        Ok(())
    }

    fn zooms_and_pans(&self) -> Result<()> {
        let step = self.place(1, "1F2")?;
        let before = self.rectangle(0, 1, step)?;
        let other = self.rectangle(1, 1, 0)?;
        let under = (before[0], before[1] + 4.0);
        self.browser.wheel(under, -240)?;
        let after = self.rectangle(0, 1, step)?;
        assert!(after[2] > before[2] * 1.4, "{before:?} {after:?}");
        assert!((after[0] - before[0]).abs() < 1.0, "what is under the pointer stays there");
        assert!(self.rectangle(1, 1, 0)?[0] < other[0], "all schedules share the axis");
        self.browser.drag((after[0] + 100.0, after[1] + 4.0), (after[0] + 60.0, after[1] + 4.0))?;
        let dragged = self.rectangle(0, 1, step)?;
        assert!((after[0] - dragged[0] - 40.0).abs() < 1.0, "{after:?} {dragged:?}");
        assert_eq!(self.fact("pinned")?, Value::Null, "a drag is no click");
        self.browser.run("document.getElementById('in').click()")?;
        assert!(self.rectangle(0, 1, step)?[2] > dragged[2]);
        self.browser.run("document.getElementById('all').click()")?;
        assert_eq!(self.rectangle(0, 1, step)?, before);
        Ok(())
    }

    fn goes_by_keys(&self) -> Result<()> {
        self.browser.point((5.0, 790.0))?;
        self.browser.run("document.querySelector('canvas.timeline').focus()")?;
        self.browser.press(ESCAPE)?;
        self.browser.press(RIGHT)?;
        assert_eq!((self.fact("action")?, self.fact("rank")?), ("0F0".into(), "0".into()));
        self.browser.press(DOWN)?;
        assert_eq!(self.fact("action")?, "1F0");
        self.browser.press(ENTER)?;
        assert_eq!((self.fact("action")?, self.fact("pinned")?), ("1F0".into(), "true".into()));
        let before = self.rectangle(0, 0, 0)?;
        self.browser.press('+')?;
        assert!(self.rectangle(0, 0, 0)?[2] > before[2]);
        self.browser.press('0')?;
        self.browser.press(ESCAPE)?;
        assert_eq!(self.fact("action")?, Value::Null);
        Ok(())
    }

    fn turns_dark(&self) -> Result<()> {
        self.browser.prefer("dark")?;
        assert_eq!(self.color("timeline", self.corner(0, 0, "0F0")?)?, F_DARK);
        let page = self.browser.run("return getComputedStyle(document.body).backgroundColor")?;
        assert_eq!(page, "rgb(20, 23, 28)");
        self.browser.prefer("light")?;
        assert_eq!(self.color("timeline", self.corner(0, 0, "0F0")?)?, F_LIGHT);
        Ok(())
    }

    /// A fact of what is selected, as the page notes it for scripts; null if nothing is.
    fn fact(&self, name: &str) -> Result<Value> {
        self.browser.run(&format!("return document.getElementById('facts').dataset.{name} ?? null"))
    }

    /// A fact of what is selected, as people read it.
    fn shown(&self, name: &str) -> Result<String> {
        let script =
            format!("return document.querySelector('#facts [data-fact={name}]').textContent");
        Ok(self.browser.run(&script)?.as_str().context("text")?.to_owned())
    }

    fn linked(&self, name: &str) -> Result<BTreeSet<String>> {
        let script = format!(
            "return [...document.querySelectorAll('#facts [data-fact={name}] button')].map((b) => b.textContent)"
        );
        let names = self.browser.run(&script)?;
        let names = names.as_array().context("a list")?;
        Ok(names.iter().filter_map(Value::as_str).map(str::to_owned).collect())
    }

    /// The step of an action of the first schedule.
    fn place(&self, rank: usize, action: &str) -> Result<usize> {
        let row = &self.timeline.rows()[rank];
        let step = row.iter().position(|span| span.action.to_string() == action);
        step.with_context(|| format!("{action} on rank {rank}"))
    }

    /// Where in the window an action is: left, top, width and height.
    fn rectangle(&self, chart: usize, rank: usize, step: usize) -> Result<[f64; 4]> {
        let script = format!("return schedules.box({chart}, {rank}, {step})");
        let found = self.browser.run(&script)?;
        let mut rectangle = [0.0; 4];
        for (value, key) in rectangle.iter_mut().zip(["x", "y", "width", "height"]) {
            *value = found[key].as_f64().with_context(|| format!("{key} of {found}"))?;
        }
        Ok(rectangle)
    }

    fn middle(&self, chart: usize, rank: usize, action: &str) -> Result<(f64, f64)> {
        let [x, y, width, height] = self.rectangle(chart, rank, self.place(rank, action)?)?;
        Ok((x + width / 2.0, y + height / 2.0))
    }

    /// Inside a box, where no label is.
    fn corner(&self, chart: usize, rank: usize, action: &str) -> Result<(f64, f64)> {
        let [x, y, ..] = self.rectangle(chart, rank, self.place(rank, action)?)?;
        Ok((x + 3.0, y + 3.0))
    }

    /// The colour of a pixel on the first canvas of a kind.
    fn color(&self, kind: &str, (x, y): (f64, f64)) -> Result<[u64; 3]> {
        let colors = self.colors(kind, (x, y), 1)?;
        colors.first().copied().context("a pixel")
    }

    /// The colours along the upper edge of a box of the first schedule.
    fn frame(&self, rank: usize, action: &str) -> Result<Vec<[u64; 3]>> {
        let [x, y, width, _] = self.rectangle(0, rank, self.place(rank, action)?)?;
        let mut colors = Vec::new();
        for above in [-1.0, 0.0] {
            colors.extend(self.colors("timeline", (x - 1.0, y + above), pixel(width.max(3.0)))?);
        }
        Ok(colors)
    }

    /// The colours of pixels beside each other.
    fn colors(&self, kind: &str, (x, y): (f64, f64), count: i32) -> Result<Vec<[u64; 3]>> {
        let script = format!(
            "const canvas = document.querySelector('canvas.{kind}');
             const {{ left, top }} = canvas.getBoundingClientRect();
             const at = [Math.round({x} - left), Math.round({y} - top)];
             return [...canvas.getContext('2d').getImageData(...at, {count}, 1).data]"
        );
        let data = self.browser.run(&script)?;
        let data: Vec<u64> =
            data.as_array().context("pixels")?.iter().filter_map(Value::as_u64).collect();
        Ok(data.chunks_exact(4).map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect())
    }
}

fn simulated(kind: Kind) -> Result<(Timeline, Analysis)> {
    let extent = Extent { num_ranks: 4, stages_per_rank: 1, num_microbatches: 8 };
    let program = validate(lower(&generate(kind, &extent)?))?;
    let timeline = simulate(&program, &Costs::UNIT);
    let analysis = analyze(&timeline, &Costs::UNIT);
    Ok((timeline, analysis))
}

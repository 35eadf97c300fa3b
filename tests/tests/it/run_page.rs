//! The page of a run in a real browser: what is drawn, and what pointing, keys and switches do.

use std::path::Path;

use anyhow::{Context as _, Result};
use autopipe_schedule::{Costs, Extent, Kind, generate, lower, simulate, validate};
use autopipe_trainer::report::report;
use autopipe_trainer::{EvalRecord, MetricsWriter, RunDir, StepRecord};
use serde_json::Value;

use crate::browser::Browser;

const LEFT: char = '\u{e012}';
const HOME: char = '\u{e011}';
const ESCAPE: char = '\u{e00c}';

const NUM_STEPS: usize = 4000;

/// The loss is halved every thousand steps, but for this one.
const SPIKE: usize = 1234;

struct Page(Browser);

#[test]
fn a_run_is_looked_at_by_pointer_keys_and_switches() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let run = folder.path().join("a <!--<script>");
    write_run(&run)?;
    let report = report(&run)?;
    assert_eq!(report.left_out, [""; 0]);
    let file = folder.path().join("report.html");
    std::fs::write(&file, &report.html)?;
    let page = Page(Browser::start()?);
    page.0.open(&file)?;
    page.draws_all_curves()?;
    page.tells_what_is_pointed_at()?;
    page.goes_by_keys()?;
    page.smooths()?;
    page.has_a_logarithmic_scale()?;
    page.shows_the_measured_step()?;
    page.turns_dark()?;
    assert_eq!(page.0.errors()?, [""; 0]);
    Ok(())
}

impl Page {
    fn draws_all_curves(&self) -> Result<()> {
        assert_eq!(self.0.run("return document.scripts.length")?, 2);
        let titles = self.0.run(
            "return [...document.querySelectorAll('figure h3')].map((h) => h.textContent).join(', ')",
        )?;
        assert_eq!(
            titles,
            "Loss, Gradient norm, Learning rate, Tokens per second, Model FLOP/s utilisation, \
             Memory of ranks, Measured bubble"
        );
        let curves = self.number("return document.querySelectorAll('path.curve').length")?;
        assert!((curves - 9.0).abs() < 0.5, "two of loss and of memory, one of each other");
        assert_eq!(self.readout(0)?, "step 4000 training 0.25 validation 0.3");
        assert_eq!(self.readout(5)?, "step 4000 rank 0 1 GB rank 1 2 GB");
        // What is drawn has no more points than the screen can show, and loses no peak.
        let points = self.number(
            "return document.querySelector('path.curve').getAttribute('d').split(/[ML]/).length",
        )?;
        assert!((100.0..3000.0).contains(&points), "{points}");
        let highest = "const d = document.querySelector('path.curve').getAttribute('d');
             return Math.min(...d.slice(1).split('L').map((p) => Number(p.split(' ')[1])))";
        let place = self.place(0, 0, SPIKE - 1)?;
        let top =
            self.number("return document.querySelector('.plot').getBoundingClientRect().top")?;
        assert!((self.number(highest)? - (place.1 - top)).abs() < 0.1);
        Ok(())
    }

    fn tells_what_is_pointed_at(&self) -> Result<()> {
        let (x, y) = self.place(0, 1, 1)?;
        self.0.point((x, y))?;
        let step = self.number("return document.querySelector('figure').dataset.step")?;
        assert!((step - 2000.0).abs() < 12.0, "a pixel is some steps: {step}");
        let text = self.readout(0)?;
        assert!(text.contains("validation 0.6"), "{text}");
        let others = self.readout(1)?;
        assert!(others.starts_with(&format!("step {step}")), "all charts follow: {others}");
        self.0.point((5.0, 790.0))?;
        assert_eq!(self.readout(1)?, "step 4000 norm 1");
        Ok(())
    }

    fn goes_by_keys(&self) -> Result<()> {
        self.0.run("document.querySelector('.plot').focus()")?;
        self.0.press(LEFT)?;
        assert!(self.readout(1)?.starts_with("step 3999"));
        self.0.press(HOME)?;
        assert_eq!(self.readout(0)?, "step 1 training 3.997 validation 1.2 at 1000");
        self.0.press(ESCAPE)?;
        assert!(self.readout(1)?.starts_with("step 4000"));
        Ok(())
    }

    fn smooths(&self) -> Result<()> {
        let set = |value: &str| {
            self.0.run(&format!(
                "const slider = document.getElementById('smoothing');
                 slider.value = {value};
                 slider.dispatchEvent(new Event('input'))"
            ))
        };
        set("0.99")?;
        let text = self.readout(0)?;
        let (_, smoothed) = text.split_once(", smoothed ").context("smoothed")?;
        let smoothed: f64 = smoothed.split(" validation").next().context("a number")?.parse()?;
        assert!((0.25..0.3).contains(&smoothed), "{text}");
        assert!(self.number("return document.querySelectorAll('path.raw').length")? > 6.5);
        set("0")?;
        assert_eq!(self.readout(0)?, "step 4000 training 0.25 validation 0.3");
        Ok(())
    }

    fn has_a_logarithmic_scale(&self) -> Result<()> {
        let before = self.middle_height()?;
        assert!(before < 0.2, "linear, the middle is low under a spike: {before}");
        self.0.run("document.querySelector('[role=switch]').click()")?;
        let after = self.middle_height()?;
        assert!(after > before + 0.1, "{before} {after}");
        let labels = self.0.run(
            "return [...document.querySelectorAll('.plot')[0].querySelectorAll('text')].map((t) => t.textContent)",
        )?;
        let labels: Vec<&str> =
            labels.as_array().context("a list")?.iter().filter_map(Value::as_str).collect();
        assert!(labels.contains(&"1") && labels.contains(&"10"), "{labels:?}");
        Ok(())
    }

    /// How high the loss lies in its plot in the middle of the run, as a part of the height.
    fn middle_height(&self) -> Result<f64> {
        let (_, y) = self.place(0, 0, NUM_STEPS / 2)?;
        let ends =
            "const { top, bottom } = document.querySelector('.plot').getBoundingClientRect();
             return";
        let (top, bottom) =
            (self.number(&format!("{ends} top"))?, self.number(&format!("{ends} bottom"))?);
        Ok((bottom - y) / (bottom - top))
    }

    fn shows_the_measured_step(&self) -> Result<()> {
        let inner = "const page = document.querySelector('iframe').contentDocument; return page";
        let titles = self.0.run(&format!("{inner}.querySelectorAll('h2')[1].textContent"))?;
        assert_eq!(titles, "simulated, with the measured times of each stage");
        let wide = self.number(&format!("{inner}.querySelector('canvas.timeline').width"))?;
        assert!(wide > 300.0, "its script has drawn: {wide}");
        let rows = self.number("return document.querySelectorAll('tbody tr').length")?;
        assert!((rows - 5.0).abs() < 0.5, "four evaluations and a checkpoint");
        Ok(())
    }

    fn turns_dark(&self) -> Result<()> {
        self.0.prefer("dark")?;
        let page = self.0.run("return getComputedStyle(document.body).backgroundColor")?;
        assert_eq!(page, "rgb(20, 23, 28)");
        let curve = "return getComputedStyle(document.querySelector('path.curve')).stroke";
        assert_eq!(self.0.run(curve)?, "rgb(127, 176, 255)");
        self.0.prefer("light")?;
        assert_eq!(self.0.run(curve)?, "rgb(31, 95, 191)");
        Ok(())
    }

    fn readout(&self, chart: usize) -> Result<String> {
        let script = format!("return document.querySelectorAll('.readout')[{chart}].textContent");
        Ok(self.0.run(&script)?.as_str().context("text")?.trim_end().to_owned())
    }

    fn number(&self, script: &str) -> Result<f64> {
        let found = self.0.run(script)?;
        let text = || found.as_str().and_then(|text| text.parse().ok());
        found.as_f64().or_else(text).with_context(|| format!("{found} is no number: {script}"))
    }

    /// Where in the window a point of a curve is.
    fn place(&self, chart: usize, curve: usize, index: usize) -> Result<(f64, f64)> {
        let script = format!("return curves.place({chart}, {curve}, {index})");
        let found = self.0.run(&script)?;
        Ok((found["x"].as_f64().context("x")?, found["y"].as_f64().context("y")?))
    }
}

fn write_run(folder: &Path) -> Result<()> {
    let run = RunDir::create(folder)?;
    let mut text = Vec::new();
    let mut metrics = MetricsWriter::new(&mut text);
    for step in 1..=NUM_STEPS {
        let part = step as f64 / 1000.0;
        let loss = if step == SPIKE { 20.0 } else { 4.0 * (-part).exp2() };
        let record = StepRecord {
            step,
            epoch: part,
            loss: if step == NUM_STEPS { 0.25 } else { loss },
            grad_norm: 1.0,
            lr: 1e-3 / part,
            tokens: 1000,
            num_tokens: 1000,
            seconds: 0.5,
            model_flops: 1e9,
            peak_flops: Some(8e9),
            measured_bubble: (step == NUM_STEPS).then_some(0.125),
            memory_bytes: vec![1_000_000_000, 2_000_000_000],
            skipped: None,
        };
        metrics.write(&record)?;
        if step % 1000 == 0 {
            let record = EvalRecord { step, loss: 1.2 / part, tokens: 512, seconds: 1.0 };
            metrics.write_evaluation(&record)?;
        }
    }
    std::fs::write(run.metrics_path(), text)?;
    std::fs::create_dir(run.checkpoint(NUM_STEPS).path)?;
    run.set_latest(NUM_STEPS)?;
    let extent = Extent { num_ranks: 2, stages_per_rank: 1, num_microbatches: 4 };
    let program = validate(lower(&generate(Kind::OneFOneB, &extent)?))?;
    let costs: Costs = "F=0.1,B=0.2".parse()?;
    run.write_timeline(&simulate(&program, &costs))?;
    Ok(())
}

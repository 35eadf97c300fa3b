//! The running schedule as a picture.

use std::path::Path;

use autopipe_schedule::render::{Chart, html, svg};
use autopipe_schedule::{Costs, analyze, csv, simulate, table};

use crate::{AutoPipeline, Error, PipelinePlan};

/// How the running schedule is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Picture {
    Svg,
    Html,
    Csv,
    Text,
}

impl Picture {
    const ALL: [(&'static str, Self); 4] =
        [("svg", Self::Svg), ("html", Self::Html), ("csv", Self::Csv), ("txt", Self::Text)];

    /// By the ending of a file's name.
    fn of(path: &Path) -> Result<Self, Error> {
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
        let known = Self::ALL.into_iter().find(|(name, _)| Some(*name) == ending.as_deref());
        known.map(|(_, picture)| picture).ok_or_else(|| Error::PictureEnding {
            path: path.to_owned(),
            endings: Self::ALL.map(|(name, _)| name),
        })
    }

    fn draw(self, plan: &PipelinePlan) -> String {
        match self {
            Self::Text => table(&plan.table),
            Self::Csv => csv::plan_to_string(&plan.table),
            Self::Svg | Self::Html => {
                let costs = Costs::UNIT;
                let timeline = simulate(&plan.programs.train, &costs);
                let analysis = analyze(&timeline, &costs);
                let title = &plan.schedule;
                let charts = [Chart { title, timeline: &timeline, analysis: &analysis }];
                if self == Self::Svg { svg(&charts) } else { html(&charts) }
            }
        }
    }
}

impl AutoPipeline {
    /// Draws the schedule that runs, of all ranks, and returns the picture: as a table, or as the
    /// ending of `filename` says (`.svg`, `.html`, `.csv` or `.txt`), and then writes it there too.
    /// Stages take the same time in it; [`step_with`](Self::step_with) measures the true times.
    ///
    /// # Errors
    /// Before [`build`](Self::build), for another ending, or if the file cannot be written.
    pub fn visualize_current_schedule(&self, filename: Option<&Path>) -> Result<String, Error> {
        let Some(built) = self.built() else {
            return Err(Error::NotBuilt { method: "visualize_current_schedule" });
        };
        let Some(path) = filename else { return Ok(Picture::Text.draw(&built.plan)) };
        let picture = Picture::of(path)?.draw(&built.plan);
        std::fs::write(path, &picture)
            .map_err(|source| Error::WritePicture { path: path.to_owned(), source })?;
        Ok(picture)
    }
}

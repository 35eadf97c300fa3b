//! Lays a plan out in columns: the idle cells of torch's tables.

use crate::{Compute, Direction, Plan, Stage, Work};

/// A plan's rows with an empty cell wherever a rank waits: every entry takes one column, and stands
/// in the first one in which its rank is free and what it needs has been computed in an earlier
/// column.
///
/// # Examples
/// ```
/// use autopipe_schedule::{csv, timetable};
///
/// let plan = csv::read_plan("0F0,0B0\n1F0,1B0\n".as_bytes())?;
/// let cells = timetable(&plan);
/// assert_eq!(cells[0].iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, false, true]);
/// # Ok::<(), autopipe_schedule::csv::CsvErrors>(())
/// ```
#[must_use]
pub fn timetable(plan: &Plan) -> Vec<Vec<Option<Work>>> {
    let mut run = Run::new(plan);
    let mut ready: Vec<usize> = (0..plan.num_ranks()).rev().collect();
    while let Some(rank) = ready.pop() {
        while let Some(&work) = plan.rows()[rank].get(run.steps[rank]) {
            if let Some(needs) = run.place(rank, work) {
                run.waits_for[rank] = Some(needs);
                break;
            }
            for compute in work.parts() {
                ready.extend(run.finish(rank, compute));
            }
        }
    }
    run.cells
}

/// A cell of stage and microbatch that has not been computed, forward or backward.
type Needs = (Direction, usize);

struct Run<'a> {
    plan: &'a Plan,
    steps: Vec<usize>,
    cells: Vec<Vec<Option<Work>>>,
    /// By direction, then by stage and microbatch: the column behind the computation.
    ends: [Vec<Option<usize>>; 2],
    waits_for: Vec<Option<Needs>>,
}

impl<'a> Run<'a> {
    fn new(plan: &'a Plan) -> Self {
        let num_cells = plan.num_stages() * plan.num_microbatches();
        Self {
            plan,
            steps: vec![0; plan.num_ranks()],
            cells: plan.rows().iter().map(|row| Vec::with_capacity(row.len())).collect(),
            ends: [vec![None; num_cells], vec![None; num_cells]],
            waits_for: vec![None; plan.num_ranks()],
        }
    }

    fn cell(&self, stage: Stage, compute: Compute) -> usize {
        stage.index() * self.plan.num_microbatches() + compute.microbatch.index()
    }

    /// What a computation needs of the neighbouring stage.
    fn needs(&self, compute: Compute) -> Option<Needs> {
        let direction = compute.op.direction()?;
        let (stage, _) = self.plan.placement().sender_to(direction, compute.stage)?;
        Some((direction, self.cell(stage, compute)))
    }

    /// Puts the next entry of a rank into its column, or says what is missing.
    fn place(&mut self, rank: usize, work: Work) -> Option<Needs> {
        let mut column = self.cells[rank].len();
        for compute in work.parts() {
            let Some((direction, cell)) = self.needs(compute) else { continue };
            match self.ends[direction.index()][cell] {
                Some(end) => column = column.max(end),
                None => return Some((direction, cell)),
            }
        }
        self.cells[rank].resize(column, None);
        self.cells[rank].push(Some(work));
        self.steps[rank] += 1;
        None
    }

    /// Notes what is computed. Returns the rank that waits for it, if one does.
    fn finish(&mut self, rank: usize, compute: Compute) -> Option<usize> {
        let direction = compute.op.direction()?;
        let cell = self.cell(compute.stage, compute);
        self.ends[direction.index()][cell] = Some(self.cells[rank].len());
        let (_, rank) = self.plan.placement().receiver_of(direction, compute.stage)?;
        let rank = rank.index();
        (self.waits_for[rank] == Some((direction, cell))).then(|| {
            self.waits_for[rank] = None;
            rank
        })
    }
}

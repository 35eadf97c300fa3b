//! Before a step the ranks agree that they take it: whoever cannot is not waited for in vain.

use autopipe_schedule::ValidProgram;

use super::Worker;
use super::interpret::purpose;
use super::replicas::Synced;
use super::{Outputs, StepOptions};
use crate::batch::{Purpose, Rows};
use crate::communicator::{Reduction, Work};
use crate::error::{among, communication};
use crate::{ActionError, Batch, Communicator, Error, Place, StepPart};

/// What all ranks of a pipeline know before a step.
#[derive(Debug)]
pub(super) struct Agreed {
    /// The rows of the step's microbatches.
    pub(super) rows: Rows,
    /// Whether a rank has gradients that were summed over replicas before.
    pub(super) has_sums: bool,
    /// Whether every rank has taken such a step before.
    work: Work,
}

/// What steps of one kind compute with the same code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Kind {
    pub(super) purpose: Purpose,
    /// Whether random numbers are drawn in it.
    is_random: bool,
}

impl Kind {
    pub(super) fn of(program: &ValidProgram, batch: &Batch) -> Self {
        let purpose = purpose(program);
        Self { purpose, is_random: purpose == Purpose::Training && batch.seed.is_some() }
    }
}

impl Worker {
    /// Whether all ranks take the same step, and how many rows its microbatches have. If not, all
    /// learn who does not and why, and nothing has happened on any.
    pub(super) fn agree(
        &mut self,
        program: &ValidProgram,
        batch: &Batch,
        options: StepOptions,
    ) -> Result<Agreed, Error> {
        let own = batch.check(&self.needs(program)).err().map(Box::new);
        let unusable = self.failed.as_ref().map(|failed| Error::Unusable(failed.words.clone()));
        let objection = unusable.as_ref().map(ToString::to_string);
        let objection = objection.or_else(|| own.as_ref().map(ToString::to_string));
        let place = Place { step: self.num_steps, part: StepPart::Start };
        // Only the rank of the first stage is sure to have the inputs.
        let num_microbatches = program.num_microbatches();
        let rows = self.local(program, 0).map(|_| Rows::of(batch, num_microbatches));
        // And only that of the last one needs to know what losses are multiplied by.
        let last = program.placement().num_stages().saturating_sub(1);
        let loss_scale = self.local(program, last).map(|_| batch.loss_scale);
        let mut own_vote = Vote {
            call: Call::new(program, batch, options),
            objection,
            rows: rows.map_or(vec![0; num_microbatches], |rows| rows.counts().collect()),
            loss_scale,
            has_sums: self.replicas.as_ref().is_some_and(Synced::has_sums),
            // A step after another finds what was computed in between known, too.
            is_new: !self.known.contains(&Kind::of(program, batch)),
        };
        let outcome = self.guarded(place, |worker| {
            worker.hear_peers(&mut own_vote)?;
            let outcome = worker.vote(&own_vote).map_err(communication)?;
            if let Ok(Agreed { work, .. }) = outcome {
                worker.begin_work(work)?;
            }
            Ok(outcome)
        });
        match (unusable, outcome) {
            // After a failure it is also how the vote ends that is no news.
            (Some(unusable), _) => Err(unusable),
            (None, Ok(Ok(agreed))) => Ok(agreed),
            (None, Ok(Err(Dissent::Refusals(refusals)))) => Err(Error::Refused { refusals, own }),
            (None, Ok(Err(Dissent::Calls(calls)))) => Err(Error::DifferentCalls { calls }),
            (None, Err(error)) => {
                self.note_failure(&error, false);
                Err(error)
            }
        }
    }

    /// The groups of ranks that take the same steps as this one in pipelines of their own, in an order
    /// that is the same on all.
    pub(super) fn peers(&self) -> impl Iterator<Item = (&dyn Communicator, Peer)> {
        let replicas = self.replicas.iter().flat_map(Synced::comms);
        let parts = self.tensor_parallel.iter().map(|group| group.communicator());
        let replicas = replicas.map(|comm| (comm, Peer::Replica));
        replicas.chain(parts.map(|comm| (comm, Peer::TensorParallel)))
    }

    /// Tells the transports what is next, when all ranks have agreed about it.
    fn begin_work(&self, work: Work) -> Result<(), ActionError> {
        self.peers().try_for_each(|(comm, _)| comm.begin_work(work).map_err(communication))?;
        self.comm.begin_work(work).map_err(communication)
    }

    /// Makes what stands against the step on a peer an objection of this rank too, so that its
    /// pipeline hears of it, and likewise what it has of sums, and whether the step is new to it.
    fn hear_peers(&self, own: &mut Vote) -> Result<(), ActionError> {
        self.peers()
            .try_for_each(|(comm, peer)| hear(comm, peer, own).map_err(|error| among(comm, error)))
    }

    /// What all ranks know, or what stands against the step, on all ranks the same.
    fn vote(&self, own: &Vote) -> Result<Result<Agreed, Dissent>, Error> {
        let mut numbers = own.flags().to_vec();
        for word in own.call.words().map(f64::from) {
            numbers.extend([word, -word]);
        }
        #[expect(clippy::cast_precision_loss, reason = "a batch has fewer than 2^53 rows")]
        numbers.extend(own.rows.iter().map(|&rows| rows as f64));
        let most = self.comm.all_reduce(&numbers, Reduction::Max)?;
        let (votes, rows) = most.split_at(NUM_FLAGS + 2 * NUM_WORDS);
        let by_rank = |texts: Vec<String>| self.comm.members().iter().copied().zip(texts);
        if votes[NUM_FLAGS..].chunks(2).any(|word| word[0] != -word[1]) {
            let calls = by_rank(self.comm.all_gather_text(&own.call.to_string())?).collect();
            return Ok(Err(Dissent::Calls(calls)));
        }
        if votes[0] == 0.0 {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts")]
            let counts: Vec<usize> = rows.iter().map(|&rows| rows as usize).collect();
            let rows = Rows::new(counts, rows.len());
            let work = if votes[2] > 0.0 { Work::New } else { Work::Known };
            return Ok(Ok(Agreed { rows, has_sums: votes[1] > 0.0, work }));
        }
        let said =
            by_rank(self.comm.all_gather_text(own.objection.as_deref().unwrap_or_default())?);
        Ok(Err(Dissent::Refusals(said.filter(|(_, objection)| !objection.is_empty()).collect())))
    }
}

/// How a rank of another pipeline belongs to one that takes the same steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    /// It has the same stages, and batches of its own.
    Replica,
    /// It has another part of the same stages, and the same batches.
    TensorParallel,
}

impl Peer {
    /// In words, of one that is named.
    fn name(self) -> &'static str {
        match self {
            Self::Replica => "its replica",
            Self::TensorParallel => "its tensor-parallel peer",
        }
    }

    /// What has to be the same of such ranks, in numbers and in words.
    fn same(self, own: &Vote) -> (Vec<f64>, String) {
        match self {
            Self::Replica => (vec![f64::from(own.call.code())], own.call.kind()),
            Self::TensorParallel => {
                #[expect(clippy::cast_precision_loss, reason = "a batch has fewer than 2^53 rows")]
                let rows = own.rows.iter().map(|&rows| rows as f64);
                let loss_scale = halves(own.loss_scale.unwrap_or_default().to_bits());
                let words = own.call.words().into_iter().chain(loss_scale).map(f64::from);
                let mut text = format!("{}, {} rows", own.call, own.rows.iter().sum::<usize>());
                if own.rows.windows(2).any(|pair| pair[0] != pair[1]) {
                    let rows: Vec<String> = own.rows.iter().map(ToString::to_string).collect();
                    text += &format!(" in microbatches of {}", rows.join(", "));
                }
                if let Some(loss_scale) = own.loss_scale.filter(|scale| *scale != 1.0) {
                    text += &format!(", a loss scale of {loss_scale}");
                }
                (words.chain(rows).collect(), text)
            }
        }
    }
}

/// The same of one group.
fn hear(comm: &dyn Communicator, peer: Peer, own: &mut Vote) -> Result<(), Error> {
    let (numbers, call) = peer.same(own);
    let mut all = own.flags().to_vec();
    all.extend(numbers.iter().flat_map(|number| [*number, -number]));
    let most = comm.all_reduce(&all, Reduction::Max)?;
    let (flags, numbers) = most.split_at(NUM_FLAGS);
    own.has_sums = flags[1] > 0.0;
    own.is_new = flags[2] > 0.0;
    // Of a batch that is refused, the rows are not compared.
    let is_compared = peer == Peer::Replica || flags[0] == 0.0;
    let is_other_call = is_compared && numbers.chunks(2).any(|number| number[0] != -number[1]);
    if flags[0] == 0.0 && !is_other_call {
        return Ok(());
    }
    let said = if is_other_call { call } else { own.objection.clone().unwrap_or_default() };
    let all = comm.all_gather_text(&said)?;
    let mut others = comm.members().iter().zip(all).filter(|(_, text)| !text.is_empty());
    let name = peer.name();
    let heard = if is_other_call {
        others.find(|(_, text)| *text != said).map(|(rank, text)| {
            format!("{name}, rank {rank}, takes another step: {text}; this one: {said}")
        })
    } else {
        others.next().map(|(rank, text)| format!("{name}, rank {rank}, does not: {text}"))
    };
    own.objection = own.objection.take().or(heard);
    Ok(())
}

/// What a rank has to say to a step.
struct Vote {
    call: Call,
    objection: Option<String>,
    /// The rows of each microbatch; none of a rank that does not count them.
    rows: Vec<usize>,
    /// What losses are multiplied by; none of a rank that computes none.
    loss_scale: Option<f64>,
    /// Whether there are gradients that were summed over replicas before.
    has_sums: bool,
    /// Whether it has taken no such step to its end.
    is_new: bool,
}

/// In how many numbers a vote says what is so if it is so on any rank.
const NUM_FLAGS: usize = 3;

impl Vote {
    fn flags(&self) -> [f64; NUM_FLAGS] {
        let flags = [self.objection.is_some(), self.has_sums, self.is_new];
        flags.map(|flag| f64::from(u8::from(flag)))
    }
}

/// Why there is no step, with the ranks in the world's numbers.
enum Dissent {
    Refusals(Vec<(usize, String)>),
    Calls(Vec<(usize, String)>),
}

/// What a rank is asked for.
#[derive(Clone, Copy)]
struct Call {
    purpose: Purpose,
    options: StepOptions,
    share: f64,
    seed: Option<u64>,
}

/// In how many words a call is told.
const NUM_WORDS: usize = 5;

impl Call {
    fn new(program: &ValidProgram, batch: &Batch, options: StepOptions) -> Self {
        let purpose = purpose(program);
        let seed = batch.seed.filter(|_| purpose == Purpose::Training);
        Self { purpose, options, share: batch.share, seed }
    }

    /// What kind of step it is.
    fn code(self) -> u32 {
        let bits = [
            self.purpose == Purpose::Training,
            self.options.outputs == Outputs::Keep,
            self.options.outputs == Outputs::Everywhere,
            self.options.measure,
            self.options.more_to_come,
            self.seed.is_some(),
        ];
        bits.into_iter().fold(0, |code, bit| 2 * code + u32::from(bit))
    }

    /// Words of its own for each: small enough that a number of a reduction holds one exactly.
    fn words(self) -> [u32; NUM_WORDS] {
        let code = self.code();
        let [share, seed] = [self.share.to_bits(), self.seed.unwrap_or_default()].map(halves);
        [code, share[0], share[1], seed[0], seed[1]]
    }
}

fn halves(word: u64) -> [u32; 2] {
    #[expect(clippy::cast_possible_truncation, reason = "each half is kept")]
    [(word >> 32) as u32, word as u32]
}

impl Call {
    /// What kind of step it is, in words: what replicas agree in.
    fn kind(&self) -> String {
        let purpose = match self.purpose {
            Purpose::Training => "training",
            Purpose::Evaluation => "evaluation",
        };
        let outputs = match self.options.outputs {
            Outputs::Drop => "",
            Outputs::Keep => " with outputs",
            Outputs::Everywhere => " with outputs everywhere",
        };
        let measure = if self.options.measure { ", measured" } else { "" };
        let more = if self.options.more_to_come { ", more to come" } else { "" };
        let seed = if self.seed.is_some() { ", with a seed" } else { "" };
        format!("{purpose}{outputs}{measure}{more}{seed}")
    }
}

impl std::fmt::Display for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&Self { seed: None, ..*self }.kind())?;
        if self.share != 1.0 {
            write!(f, ", a share of {}", self.share)?;
        }
        self.seed.map_or(Ok(()), |seed| write!(f, ", seed {seed}"))
    }
}

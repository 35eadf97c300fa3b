//! The messages of one rank to another that go by lane, at either end: those that wait for their turn,
//! the one that has been begun, and those that the device is about to be through with.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use candle_core::Tensor;

use super::NcclError;
use super::bell::Motion;
use super::carrier::{Carrier, Form, Lane, LaneId, Side};
use super::record::Record;
use super::wreck::Rubble;

/// One end.
pub(super) struct Line<C: Carrier> {
    side: Side,
    /// How often the world has begun anew.
    num_resets: u64,
    /// How many messages have been told of.
    count: u64,
    way: Way<C::Lane>,
    waiting: VecDeque<Job<C::Moment>>,
    begun: Option<(u64, Vec<Tensor>)>,
    /// Given to the device, by number: of a receiver until they are asked for.
    through: BTreeMap<u64, (Vec<Tensor>, Arc<C::Moment>)>,
    /// When the device is through with all that it was given, unless it is.
    last: Option<Arc<C::Moment>>,
    /// How many messages the receiver takes, if it is at its end.
    end: Option<u64>,
    /// Records of ranks that have begun anew before this one has.
    early: VecDeque<Record>,
    fault: Option<NcclError>,
    /// Since when the lane has not been ready for what is to be done.
    stuck: Option<Instant>,
}

/// The lane: one is opened for the first message.
enum Way<L> {
    None,
    Open(L, LaneId),
    /// Nothing goes any more, until the world begins anew.
    Broken,
}

struct Job<M> {
    number: u64,
    load: Load<M>,
}

enum Load<M> {
    /// To be sent when a moment has passed.
    Out(Vec<Tensor>, M),
    In(Vec<Form>),
}

impl<C: Carrier> Line<C> {
    pub(super) fn new(side: Side) -> Self {
        Self {
            side,
            num_resets: 0,
            count: 0,
            way: Way::None,
            waiting: VecDeque::new(),
            begun: None,
            through: BTreeMap::new(),
            last: None,
            end: None,
            early: VecDeque::new(),
            fault: None,
            stuck: None,
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// At the sender: the record of a message, whose lane is opened if it is the first.
    pub(super) fn announce(
        &mut self,
        carrier: &C,
        tensors: &[Tensor],
    ) -> Result<Record, NcclError> {
        if matches!(self.way, Way::None) {
            self.open(carrier, carrier.name()?)?;
        }
        // Until the first is under way: one that is announced may still be refused.
        let lane = match self.way {
            Way::Open(_, id) if self.count == 0 => Some(id),
            Way::Open(..) | Way::None | Way::Broken => None,
        };
        let form = |tensor: &Tensor| Form { dtype: tensor.dtype(), dims: tensor.dims().to_vec() };
        let forms = tensors.iter().map(form).collect();
        Ok(Record { num_resets: self.num_resets, number: self.count, lane, forms })
    }

    /// At the sender: the message that was announced is to be sent.
    pub(super) fn send(&mut self, tensors: Vec<Tensor>, after: C::Moment) {
        let number = self.count;
        self.count += 1;
        let is_wanted = self.end.is_none_or(|count| number < count);
        if is_wanted && !matches!(self.way, Way::Broken) {
            self.waiting.push_back(Job { number, load: Load::Out(tensors, after) });
        }
    }

    /// At the receiver: the sender has announced a message.
    pub(super) fn accept(&mut self, carrier: &C, record: Record) {
        if record.num_resets > self.num_resets {
            self.early.push_back(record);
        } else if record.num_resets == self.num_resets
            && let Err(error) = self.try_accept(carrier, record)
        {
            self.fail(error);
        }
    }

    fn try_accept(&mut self, carrier: &C, record: Record) -> Result<(), NcclError> {
        let Record { num_resets: _, number, lane, forms } = record;
        if number != self.count || lane.is_some() != (number == 0) {
            let cause = format!("a record has number {number}, and {} have come", self.count);
            return Err(NcclError::Unreadable { cause });
        }
        self.count += 1;
        match (lane, &self.way) {
            (_, Way::Broken) => return Ok(()),
            (Some(id), Way::None | Way::Open(..)) => self.open(carrier, id)?,
            (None, Way::None | Way::Open(..)) => {}
        }
        self.waiting.push_back(Job { number, load: Load::In(forms) });
        Ok(())
    }

    fn open(&mut self, carrier: &C, id: LaneId) -> Result<(), NcclError> {
        self.way = Way::Open(carrier.open(&id, self.side)?, id);
        Ok(())
    }

    /// At the receiver: a message, if the device has been given it; what it computes from here on has the
    /// numbers.
    pub(super) fn fetch(
        &mut self,
        carrier: &C,
        number: u64,
    ) -> Result<Option<Vec<Tensor>>, NcclError> {
        let Some((_, moment)) = self.through.get(&number) else { return Ok(None) };
        carrier.compute_after(moment)?;
        Ok(self.through.remove(&number).map(|(tensors, _)| tensors))
    }

    /// At the receiver: whether the numbers of a message are here.
    pub(super) fn has(&self, carrier: &C, number: u64) -> Result<bool, NcclError> {
        self.through.get(&number).map_or(Ok(false), |(_, moment)| carrier.is_past(moment))
    }

    /// Begins what can be begun, and lets go of what has been sent. What fails is kept.
    pub(super) fn go_on(&mut self, carrier: &C, timeout: Duration) -> Motion {
        if self.fault.is_none()
            && let Err(error) = self.try_go_on(carrier, timeout)
        {
            self.fail(error);
        }
        self.motion()
    }

    #[expect(clippy::disallowed_methods, reason = "a rank that does not answer has a deadline")]
    fn try_go_on(&mut self, carrier: &C, timeout: Duration) -> Result<(), NcclError> {
        // What happens to a lane on which nothing is under way is the end of the other rank.
        if self.motion() == Motion::Still {
            return Ok(());
        }
        let Way::Open(lane, _) = &mut self.way else { return Ok(()) };
        while lane.is_ready()? {
            self.stuck = None;
            if self.begun.is_some() {
                let moment = Arc::new(lane.moment()?);
                self.last = Some(Arc::clone(&moment));
                let begun = self.begun.take();
                self.through.extend(begun.map(|(number, tensors)| (number, (tensors, moment))));
            }
            let Some(Job { number, load }) = self.waiting.pop_front() else { break };
            let (tensors, after) = match load {
                Load::Out(tensors, after) => (tensors, after),
                Load::In(forms) => {
                    let room = forms.iter().map(|form| carrier.room(form));
                    (room.collect::<Result<_, _>>()?, carrier.now()?)
                }
            };
            // Before anything is begun: what fails may be under way all the same.
            let (_, tensors) = self.begun.insert((number, tensors));
            lane.begin(tensors, &after)?;
        }
        if self.begun.is_some() || !self.waiting.is_empty() {
            let waited = self.stuck.get_or_insert_with(Instant::now).elapsed();
            if waited > timeout {
                return Err(NcclError::Late { waited });
            }
        }
        // Looked at first: when it has passed, so have all before it.
        let is_through = self.last.as_ref().map_or(Ok(true), |last| carrier.is_past(last))?;
        if self.side == Side::Sender {
            while let Some(sent) = self.through.first_entry()
                && carrier.is_past(&sent.get().1)?
            {
                sent.remove();
            }
        }
        if is_through {
            self.last = None;
        }
        Ok(())
    }

    pub(super) fn motion(&self) -> Motion {
        if matches!(self.way, Way::Broken) {
            Motion::Still
        } else if self.begun.is_some() || !self.waiting.is_empty() {
            Motion::Moving
        } else if self.last.is_some() {
            Motion::Device
        } else {
            Motion::Still
        }
    }

    pub(super) fn fail(&mut self, error: NcclError) {
        self.fault.get_or_insert(error);
    }

    /// What has failed.
    pub(super) fn fault(&self) -> Option<&NcclError> {
        self.fault.as_ref()
    }

    /// Whether there is a lane, on which the receiver may end.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.way, Way::Open(..))
    }

    /// At the sender: the receiver takes `count` messages and no more.
    pub(super) fn cut(&mut self, count: u64) {
        self.end = Some(count);
        self.waiting.retain(|job| job.number < count);
    }

    /// Whether the receiver is at its end.
    pub(super) fn is_cut(&self) -> bool {
        self.end.is_some()
    }

    /// At the sender: whether nothing is under way but what the receiver will not take.
    pub(super) fn is_in_vain(&self) -> bool {
        let Some(end) = self.end else { return false };
        let begun = self.begun.iter().map(|(number, _)| *number);
        let waiting = self.waiting.iter().map(|job| job.number);
        let mut numbers = begun.chain(waiting).chain(self.through.keys().copied()).peekable();
        numbers.peek().is_some() && numbers.all(|number| number >= end)
    }

    /// Lets nothing go any more: the lane, which is to be broken off, and what is under way on it.
    pub(super) fn give_up(&mut self) -> Option<Rubble<C>> {
        let way = std::mem::replace(&mut self.way, Way::Broken);
        self.waiting.clear();
        (self.last, self.fault) = (None, None);
        let begun = self.begun.take().map(|(_, tensors)| tensors);
        let through = std::mem::take(&mut self.through).into_values().map(|(tensors, _)| tensors);
        let tensors = begun.into_iter().chain(through).collect();
        match way {
            Way::Open(lane, _) => Some(Rubble { lane, tensors }),
            Way::None | Way::Broken => None,
        }
    }

    /// Forgets all of the world that has failed.
    pub(super) fn begin_anew(&mut self, carrier: &C) -> Option<Rubble<C>> {
        let rubble = self.give_up();
        let early = std::mem::take(&mut self.early);
        let num_resets = self.num_resets + 1;
        *self = Self { num_resets, ..Self::new(self.side) };
        for record in early {
            self.accept(carrier, record);
        }
        rubble
    }

    /// The lane, on which nothing is under way any more.
    pub(super) fn take_lane(&mut self) -> Option<C::Lane> {
        match std::mem::replace(&mut self.way, Way::Broken) {
            Way::Open(lane, _) => Some(lane),
            Way::None | Way::Broken => None,
        }
    }
}

//! What happens in a life, written down before it is lived.
//!
//! The steps of a seed are a pure function of it: they name objects by numbers that are looked up among those that exist when
//! the step is taken, so a life can be cut short anywhere and lived on either engine, and is the same up to there.

use std::fmt;

use chrono::TimeDelta;

use crate::dice::Dice;

/// How long a life lasts.
pub const LIFE: TimeDelta = TimeDelta::days(731);

/// One step: time passes, days are closed, something is done.
#[derive(Clone, Debug)]
pub struct Step {
    /// How much time passes before it.
    pub after: TimeDelta,
    /// Which days are closed when it has passed.
    pub close: Close,
    /// What is done then.
    pub act: Act,
    /// The host dies when it is about to write for the n-th time in this step, and starts again.
    pub crash_at_write: Option<u32>,
    /// Every request of this step is sent twice.
    pub twice: bool,
}

/// How days are closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// None: the host is down, or nobody looks.
    None,
    /// Each by itself, in order.
    Daily,
    /// The last one that is over, by a person; what was missed is caught up.
    Last,
    /// The same, with plans that wait for confirmation; one of them is rejected when `reject`.
    Confirmed {
        /// Whether the first plan is rejected.
        reject: bool,
    },
}

/// Something that is done. Numbers choose among what exists.
#[derive(Clone, Debug)]
pub enum Act {
    /// Nothing.
    Wait,
    /// A contract subscribes to a plan.
    Subscribe {
        contract: u8,
        plan: u8,
        starts_in_days: i64,
        quantity: u8,
        charges: Option<u8>,
        discount: u8,
        off: Option<u16>,
        manual: bool,
    },
    /// A subscription is changed, after a preview.
    Change {
        subscription: u8,
        wish: Wish,
        in_days: i64,
        timing: Option<&'static str>,
        current_day: Option<&'static str>,
    },
    /// All subscriptions of a contract are renewed.
    Renew { contract: u8 },
    /// A change that waits is withdrawn.
    Withdraw { change: u8 },
    /// An end of service is set, without giving anything back.
    End { subscription: u8, in_days: i64 },
    /// A payment comes in, through the bank, the cash desk or a gateway.
    Pay { contract: u8, amount: i64, by: u8 },
    /// What a contract owes is paid, to the last kopeck.
    PayDebt { contract: u8 },
    /// A payment is taken back.
    Reverse { payment: u8 },
    /// A person corrects a balance.
    Adjust { contract: u8, amount: i64 },
    /// A promised payment is asked for.
    Promise { contract: u8, amount: i64, days: i64 },
    /// One is revoked.
    Revoke { promise: u8 },
    /// Money moves between contracts.
    Transfer { from: u8, to: u8, amount: i64 },
    /// A block is set on a contract or a subscription.
    Block { on: u8, whole_contract: bool, starts_in_hours: i64, lasts_hours: Option<i64> },
    /// One is lifted.
    Lift { block: u8 },
    /// A part of a charge is given back, or all of it.
    Credit { charge: u8, part: Option<u8> },
    /// The credit limit of a contract changes.
    Limit { contract: u8, amount: i64 },
    /// A contract gets a place below another, and tags.
    Place { contract: u8, below: Option<u8>, priority: i64, court: bool },
    /// A subscription lives by a service term from now on, or by none.
    Term { subscription: u8, term: Option<u8> },
    /// What waits for a person is decided.
    Decide { approve: bool },
    /// The credit policy changes.
    Policy { limit: Option<i64>, deferral_days: i64 },
    /// The plan gets a version with other prices.
    Reprice { plan: u8, percent: u8, existing: bool },
    /// A contract gets a price of its own for a plan.
    OwnPrice { contract: u8, plan: u8, percent: u8 },
    /// A subscription is edited: what it does without money, its discount, how many charges are left.
    Edit {
        subscription: u8,
        short_funds: Option<&'static str>,
        discount: Option<u8>,
        off: Option<u16>,
        left: Option<u8>,
    },
    /// A price of a contract's own is taken away.
    DropPrice { price: u8 },
    /// Events of all meters come in about a few subscriptions, some of them late.
    Use { subscription: u8, back_hours: i64, salt: u64 },
    /// Books of another system come in as files.
    Import { salt: u64 },
    /// Another component decides what a part of a period costs.
    Strategy { strategy: u8 },
    /// Other plans pass by themselves, or need two.
    Approval { four_eyes: bool, largest: Option<i64> },
    /// Debts are chased at other times.
    Chase { reminded: i64, stopped: i64 },
    /// A service term gives another time.
    Retime { term: u8, grace: i64, keep: i64 },
    /// A contract moves to another zone.
    Zone { contract: u8, zone: &'static str },
    /// A contract orders what waits to be activated, most of the time with its first period paid in advance.
    Order { contract: u8, plan: u8 },
    /// An order is taken back.
    TakeBack { order: u8 },
    /// A subscription is activated, most of the time one that was ordered lately.
    Activate { subscription: u8, in_days: i64 },
}

/// What is wished of a subscription.
#[derive(Clone, Debug)]
pub enum Wish {
    /// An end.
    Cancel,
    /// Another plan, dearer or cheaper or of another period.
    Plan { plan: u8, quantity: Option<u8> },
    /// Another quantity.
    Quantity { quantity: u8, halves: bool },
    /// An interruption.
    Pause,
    /// Its end.
    Resume,
    /// Another day of the month.
    BillingDay { day: u8 },
    /// The next period now.
    Renew,
    /// Days for nothing.
    Prolong { days: u8 },
    /// A later next period.
    Shift { days: u8 },
}

impl Act {
    /// What it is called, without its numbers.
    pub fn kind(&self) -> String {
        match self {
            Self::Change { wish, .. } => format!("Change{}", first_word(&format!("{wish:?}"))),
            other => first_word(&format!("{other:?}")),
        }
    }
}

fn first_word(text: &str) -> String {
    text.split([' ', '{', '(']).next().unwrap_or_default().to_owned()
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "after {} h, close {:?}: {:?}", self.after.num_hours(), self.close, self.act)?;
        if let Some(writes) = self.crash_at_write {
            write!(f, ", crash at write {writes}")?;
        }
        if self.twice {
            f.write_str(", sent twice")?;
        }
        Ok(())
    }
}

fn small(dice: &mut Dice) -> u8 {
    u8::try_from(dice.between(0, 255)).unwrap_or(0)
}

fn up_to(dice: &mut Dice, low: i64, high: i64) -> u8 {
    u8::try_from(dice.between(low, high)).unwrap_or(1)
}

fn amount(dice: &mut Dice) -> i64 {
    match dice.between(0, 3) {
        0 => dice.between(1, 99),
        1 => dice.between(100, 20_000),
        _ => dice.between(20_000, 400_000),
    }
}

fn wish(dice: &mut Dice) -> Wish {
    match dice.between(0, 15) {
        0 => Wish::Cancel,
        1..=4 => {
            let quantity = dice.one_in(3).then(|| up_to(dice, 1, 9));
            Wish::Plan { plan: small(dice), quantity }
        }
        5..=7 => Wish::Quantity { quantity: up_to(dice, 1, 12), halves: dice.one_in(5) },
        8 | 9 => Wish::Pause,
        10 | 11 => Wish::Resume,
        12 => Wish::BillingDay { day: up_to(dice, 1, 31) },
        13 => Wish::Renew,
        14 => Wish::Prolong { days: up_to(dice, 1, 40) },
        _ => Wish::Shift { days: up_to(dice, 1, 40) },
    }
}

fn act(dice: &mut Dice) -> Act {
    match dice.between(0, 99) {
        _ if dice.one_in(6) => {
            Act::Use { subscription: small(dice), back_hours: *dice.pick(&[10, 100, 800, 2_500]), salt: dice.next() }
        }
        _ if dice.one_in(12) => rule(dice),
        _ if dice.one_in(12) => order(dice),
        0..=13 => Act::Subscribe {
            contract: small(dice),
            plan: small(dice),
            starts_in_days: if dice.one_in(3) { dice.between(-70, 40) } else { dice.between(-3, 5) },
            quantity: up_to(dice, 1, 5),
            charges: dice.one_in(5).then(|| up_to(dice, 1, 6)),
            discount: if dice.one_in(3) { up_to(dice, 1, 100) } else { 0 },
            off: dice.one_in(4).then(|| u16::try_from(dice.between(1, 30_000)).unwrap_or(1)),
            manual: dice.one_in(12),
        },
        14..=41 => Act::Change {
            subscription: small(dice),
            wish: wish(dice),
            in_days: if dice.one_in(3) { dice.between(-10, 45) } else { 0 },
            timing: *dice.pick(&[None, None, Some("immediate"), Some("end-of-term"), Some("start-of-term")]),
            current_day: *dice.pick(&[None, None, Some("old"), Some("new"), Some("both"), Some("neither")]),
        },
        42 => Act::Renew { contract: small(dice) },
        43 => Act::Withdraw { change: small(dice) },
        44 => Act::End { subscription: small(dice), in_days: dice.between(-5, 60) },
        45..=54 => Act::Pay { contract: small(dice), amount: amount(dice), by: small(dice) },
        55..=58 => Act::PayDebt { contract: small(dice) },
        59 | 60 => Act::Reverse { payment: small(dice) },
        61..=63 => {
            let sign = *dice.pick(&[1, -1]);
            Act::Adjust { contract: small(dice), amount: sign * amount(dice) }
        }
        64..=67 => Act::Promise { contract: small(dice), amount: amount(dice), days: dice.between(0, 40) },
        68 => Act::Revoke { promise: small(dice) },
        69..=71 => Act::Transfer { from: small(dice), to: small(dice), amount: 1 + amount(dice) / 20 },
        72..=74 => Act::Block {
            on: small(dice),
            whole_contract: dice.one_in(2),
            starts_in_hours: if dice.one_in(2) { 0 } else { dice.between(1, 900) },
            lasts_hours: dice.one_in(2).then(|| dice.between(1, 900)),
        },
        75 | 76 => Act::Lift { block: small(dice) },
        77..=80 => Act::Credit { charge: small(dice), part: dice.one_in(2).then(|| up_to(dice, 1, 99)) },
        81 | 82 => Act::Limit { contract: small(dice), amount: dice.between(0, 3) * 50_000 },
        83 | 84 => Act::Place {
            contract: small(dice),
            below: dice.one_in(2).then(|| small(dice)),
            priority: dice.between(0, 3),
            court: dice.one_in(3),
        },
        85..=88 => Act::Term { subscription: small(dice), term: (!dice.one_in(4)).then(|| small(dice)) },
        89..=92 => Act::Decide { approve: !dice.one_in(3) },
        93 => Act::Policy {
            limit: dice.one_in(2).then(|| dice.between(0, 5) * 20_000),
            deferral_days: dice.between(0, 5),
        },
        94 if dice.one_in(3) => {
            Act::OwnPrice { contract: small(dice), plan: small(dice), percent: up_to(dice, 10, 120) }
        }
        94 => Act::Reprice { plan: small(dice), percent: up_to(dice, 50, 180), existing: dice.one_in(2) },
        95 | 96 => Act::Edit {
            subscription: small(dice),
            short_funds: *dice.pick(&[None, Some("retry"), Some("skip"), Some("suspend"), Some("debt")]),
            discount: dice.one_in(4).then(|| up_to(dice, 0, 60)),
            off: dice.one_in(4).then(|| u16::try_from(dice.between(1, 30_000)).unwrap_or(1)),
            left: dice.one_in(6).then(|| up_to(dice, 1, 5)),
        },
        97 => match dice.between(0, 2) {
            0 => zone(dice),
            1 => Act::Lift { block: small(dice) },
            _ => Act::Revoke { promise: small(dice) },
        },
        98 => order(dice),
        _ => Act::Wait,
    }
}

fn zone(dice: &mut Dice) -> Act {
    let zones = ["Europe/Moscow", "Asia/Vladivostok", "America/New_York", "Europe/Berlin"];
    Act::Zone { contract: small(dice), zone: dice.pick::<&str>(&zones) }
}

/// What is ordered, and what becomes of it.
fn order(dice: &mut Dice) -> Act {
    match dice.between(0, 9) {
        0..=4 => Act::Order { contract: small(dice), plan: small(dice) },
        5..=7 => Act::Activate { subscription: small(dice), in_days: dice.between(-3, 4) },
        8 => Act::TakeBack { order: small(dice) },
        _ => Act::Withdraw { change: small(dice) },
    }
}

/// What happens seldom and touches much.
fn rule(dice: &mut Dice) -> Act {
    match dice.between(0, 8) {
        0 | 1 => Act::Import { salt: dice.next() },
        2 => Act::Strategy { strategy: small(dice) },
        3 => Act::Approval { four_eyes: dice.one_in(2), largest: dice.one_in(2).then(|| dice.between(0, 50_000)) },
        4 => Act::Chase { reminded: dice.between(1, 6), stopped: dice.between(7, 30) },
        5 => Act::Retime { term: small(dice), grace: dice.between(0, 20), keep: dice.between(1, 40) },
        6 => Act::OwnPrice { contract: small(dice), plan: small(dice), percent: up_to(dice, 10, 120) },
        7 => Act::DropPrice { price: small(dice) },
        _ => zone(dice),
    }
}

/// How time passes in one life.
fn pause(dice: &mut Dice) -> TimeDelta {
    match dice.between(0, 19) {
        0..=2 => TimeDelta::minutes(dice.between(0, 300)),
        3..=8 => TimeDelta::hours(dice.between(5, 200)),
        9..=17 => TimeDelta::hours(dice.between(150, 1_000)),
        _ => TimeDelta::hours(dice.between(1_000, 2_500)),
    }
}

fn close(dice: &mut Dice, open: TimeDelta, diligent: bool) -> Close {
    // Days that were missed are closed one by one in diligent lives and where they are few.
    if diligent || open < TimeDelta::days(4) && !dice.one_in(4) {
        return if dice.one_in(10) { Close::None } else { Close::Daily };
    }
    match dice.between(0, 9) {
        0 | 1 => Close::None,
        2 => Close::Confirmed { reject: dice.one_in(2) },
        _ => Close::Last,
    }
}

/// The steps of a seed, to the end of its life.
pub fn steps(seed: u64) -> Vec<Step> {
    let mut dice = Dice::new(seed, 1);
    // Few live on the day: two years have many of them.
    let diligent = seed % 200 == 7;
    let crashing = !dice.one_in(4);
    let mut steps = Vec::new();
    let mut lived = TimeDelta::zero();
    let mut open = TimeDelta::zero();
    while lived < LIFE {
        // The first days bring the first subscriptions.
        let young = steps.len() < 4;
        let after = if young { TimeDelta::hours(dice.between(1, 30)) } else { pause(&mut dice) };
        open += after;
        let close = close(&mut dice, open, diligent);
        if close != Close::None {
            open = TimeDelta::zero();
        }
        let mut does = act(&mut dice);
        if young {
            while !matches!(does, Act::Subscribe { .. }) {
                does = act(&mut dice);
            }
        }
        let crash_at_write = (crashing && dice.one_in(4)).then(|| u32::try_from(dice.between(0, 14)).unwrap_or(0));
        let twice = dice.one_in(6);
        lived += after;
        steps.push(Step { after, close, act: does, crash_at_write, twice });
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_is_two_years_long_and_the_same_each_time() {
        for seed in 0..50 {
            let once = steps(seed);
            assert_eq!(format!("{once:?}"), format!("{:?}", steps(seed)));
            let lived: TimeDelta = once.iter().map(|step| step.after).sum();
            assert!(lived >= LIFE && lived < LIFE + TimeDelta::days(100));
        }
        assert_ne!(format!("{:?}", steps(1)), format!("{:?}", steps(2)));
    }
}

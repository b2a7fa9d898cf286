//! Payments through a gateway as values: what is asked of a gateway plugin and what it answers.
//!
//! Owns operations, outcomes and claims, which outcome outlives which, and what an outcome must agree with before it is
//! believed. Refuses to know how anything is sent and where money is posted. Invariant: an outcome that passed
//! [`check_outcome`] names no other amount and no other currency than what was asked for.

use serde::{Deserialize, Serialize};

use crate::exchange::{HttpCall, HttpReply};
use crate::money::Money;
use crate::text::text_enum;

mod check;

pub use check::{OutcomeError, check_outcome};

/// Named texts, in order.
pub type Details = Vec<(String, String)>;

/// What a gateway can do with one configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = GatewayCapabilities))]
pub struct Capabilities {
    /// Currencies that it takes; empty when it does not restrict them.
    pub currencies: Vec<String>,
    /// Whether a payment may be authorized first and captured later.
    pub two_stage: bool,
    /// Whether it gives money back.
    pub refunds: bool,
    /// Whether it gives a part of the money back.
    pub partial_refunds: bool,
    /// Whether it tells how a refund stands.
    pub refund_status: bool,
    /// Whether it tells how a payment stands.
    pub status: bool,
    /// Whether it sends notifications.
    pub notifications: bool,
    /// Whether a payer's method can be kept and charged later.
    pub saved_methods: bool,
}

/// One line of a fiscal receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptLine {
    /// What was sold.
    pub name: String,
    /// How much of it, decimal text.
    pub quantity: String,
    /// The price of the line, tax included.
    pub amount: Money,
    /// The tax code of the line.
    pub tax_code: String,
    /// How the line is paid; may be empty.
    pub method: String,
    /// What is sold; may be empty.
    pub object: String,
}

/// What a fiscal receipt is made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FiscalReceipt {
    /// The lines; they sum to the amount of the payment.
    pub lines: Vec<ReceiptLine>,
    /// The tax system of the seller; may be empty.
    pub tax_system: String,
}

/// A payment that is to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// Identifies it for ever.
    pub id: String,
    /// Identifies it within the binding, for gateways that count.
    pub number: u64,
    /// What is to be paid.
    pub amount: Money,
    /// For the payer.
    pub description: String,
    /// Whether the money is taken at once.
    pub capture: bool,
    /// Where the payer's browser goes afterwards; may be empty.
    pub return_url: String,
    /// What is known of the payer.
    pub payer: Details,
    /// Charge this saved method.
    pub saved_method: Option<String>,
    /// Whether to keep the payer's method.
    pub save_method: bool,
    /// For the fiscal receipt.
    pub receipt: Option<FiscalReceipt>,
}

/// A payment that was begun before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// The id of its intent.
    pub id: String,
    /// The number of its intent.
    pub number: u64,
    /// How the gateway names it; may be empty.
    pub external_id: String,
    /// The amount of the intent, or how much of it is captured.
    pub amount: Money,
    /// Whether the intent wanted the money at once.
    pub capture: bool,
    /// What the plugin wanted to remember of it.
    pub details: Details,
}

/// Money that is to go back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    /// Identifies it for ever.
    pub id: String,
    /// The payment it is taken from.
    pub payment: Reference,
    /// How much.
    pub amount: Money,
    /// Why; may be empty.
    pub reason: String,
    /// How the gateway names the refund; may be empty.
    pub external_id: String,
}

/// What is asked of a gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    /// Begin a payment.
    Pay(Intent),
    /// Say how a payment stands.
    Status(Reference),
    /// Take money that was authorized.
    Capture(Reference),
    /// Give up a payment that was not taken.
    Cancel(Reference),
    /// Give money back.
    Refund(Refund),
    /// Say how a refund stands.
    RefundStatus(Refund),
}

text_enum! {
    /// The kinds of exchanges with a gateway.
    pub enum ExchangeKind as "kind of exchange" {
        /// A payment was begun.
        Pay = "pay",
        /// A payment was asked about.
        Status = "status",
        /// Authorized money was taken.
        Capture = "capture",
        /// A payment was given up.
        Cancel = "cancel",
        /// Money was given back.
        Refund = "refund",
        /// A refund was asked about.
        RefundStatus = "refund-status",
        /// The gateway sent a notification.
        Notification = "notification",
    }
}

/// What the payer has to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Action {
    /// Open an address.
    Redirect {
        /// Where.
        url: String,
    },
    /// Post a form.
    Post {
        /// Where.
        url: String,
        /// The fields, in order.
        fields: Vec<(String, String)>,
    },
    /// Scan a code.
    Qr {
        /// What the code says.
        text: String,
    },
    /// Confirm somewhere else.
    Confirm {
        /// What to do.
        text: String,
    },
    /// Anything else.
    Other {
        /// What to do.
        text: String,
    },
}

/// How an operation stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Verdict {
    /// The money was taken, or given back for a refund, or the payment given up for a cancel.
    Succeeded,
    /// The money is held.
    Authorized,
    /// The gateway works on it.
    Pending {
        /// Ask again not before this instant, milliseconds since 1970.
        ask_after_ms: Option<i64>,
    },
    /// The payer has to do something.
    RequiresAction {
        /// What.
        action: Action,
    },
    /// The money will not be taken.
    Declined {
        /// The gateway's code; may be empty.
        code: String,
        /// In words.
        message: String,
        /// Whether the same method may succeed later.
        retryable: bool,
    },
    /// Nothing was begun at the gateway.
    NotAttempted {
        /// Why.
        reason: String,
    },
    /// Nobody can tell.
    Unknown {
        /// Why.
        reason: String,
    },
    /// The money was taken and went back as a whole.
    Returned {
        /// Why.
        reason: String,
    },
    /// Something that this release has no word for; treated as unknown.
    Other {
        /// The plugin's words.
        text: String,
    },
}

text_enum! {
    /// The name of a verdict, as it is stored and filtered by.
    pub enum VerdictName as "verdict" {
        /// Taken.
        Succeeded = "succeeded",
        /// Held.
        Authorized = "authorized",
        /// Being worked on.
        Pending = "pending",
        /// Waits for the payer.
        RequiresAction = "requires-action",
        /// Will not be taken.
        Declined = "declined",
        /// Not begun.
        NotAttempted = "not-attempted",
        /// Nobody can tell.
        Unknown = "unknown",
        /// Taken and gone back.
        Returned = "returned",
        /// No word for it.
        Other = "other",
    }
}

/// What came of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// How it stands.
    pub verdict: Verdict,
    /// How the gateway names the payment or the refund; may be empty.
    pub external_id: String,
    /// What was really taken, held or given back.
    pub amount: Option<Money>,
    /// What the gateway keeps.
    pub fee: Option<Money>,
    /// Names the payer's method for later charges.
    pub saved_method: Option<String>,
    /// What the plugin wants to remember.
    pub details: Details,
}

/// What comes next in an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Send this and go on.
    Send(HttpCall),
    /// It has ended.
    Done(Outcome),
}

/// Which payment a claim is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    /// By the id of its intent.
    Intent(String),
    /// By the number of its intent.
    Number(u64),
    /// By the gateway's name of it.
    External(String),
}

/// What a notification says of one payment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Which payment.
    pub subject: Subject,
    /// How it stands.
    pub outcome: Outcome,
}

/// What a notification turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// It is the gateway's.
    Authentic {
        /// What it says.
        claims: Vec<Claim>,
        /// The answer when the claims were taken.
        taken: HttpReply,
        /// The answer when they cannot be taken.
        refused: HttpReply,
    },
    /// It proves nothing.
    Rejected {
        /// Why.
        reason: String,
        /// The answer.
        reply: HttpReply,
    },
}

/// What comes next with a notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReceiveStep {
    /// Send this and go on.
    Send(HttpCall),
    /// It is understood.
    Done(Received),
}

impl ExchangeKind {
    /// Whether it would move money, or hold it, or let it go; the others only ask or listen.
    pub fn moves_money(self) -> bool {
        matches!(self, Self::Pay | Self::Capture | Self::Cancel | Self::Refund)
    }
}

impl Operation {
    /// The kind of exchange that it makes.
    pub fn kind(&self) -> ExchangeKind {
        match self {
            Self::Pay(_) => ExchangeKind::Pay,
            Self::Status(_) => ExchangeKind::Status,
            Self::Capture(_) => ExchangeKind::Capture,
            Self::Cancel(_) => ExchangeKind::Cancel,
            Self::Refund(_) => ExchangeKind::Refund,
            Self::RefundStatus(_) => ExchangeKind::RefundStatus,
        }
    }

    /// The amount it is about.
    pub fn amount(&self) -> Money {
        match self {
            Self::Pay(intent) => intent.amount,
            Self::Status(payment) | Self::Capture(payment) | Self::Cancel(payment) => payment.amount,
            Self::Refund(refund) | Self::RefundStatus(refund) => refund.amount,
        }
    }
}

impl Outcome {
    /// What is known of a payment after `later` was learnt: the verdict only moves up, names and details are kept unless
    /// the later outcome has its own.
    pub fn followed_by(self, later: Self) -> Self {
        let later_stands = self.verdict.name().gives_way_to(later.verdict.name());
        let mut details = self.details;
        for (name, value) in later.details {
            match details.iter_mut().find(|(known, _)| *known == name) {
                Some(entry) => entry.1 = value,
                None => details.push((name, value)),
            }
        }
        let external_id = if later.external_id.is_empty() { self.external_id } else { later.external_id };
        let saved_method = later.saved_method.or(self.saved_method);
        if later_stands {
            let fee = later.fee.or(self.fee);
            Self { verdict: later.verdict, external_id, amount: later.amount, fee, saved_method, details }
        } else {
            Self { verdict: self.verdict, external_id, amount: self.amount, fee: self.fee, saved_method, details }
        }
    }
}

impl Verdict {
    /// What is known of an exchange that ended with a fault; `unsent` when no request was made and no outcome was told.
    ///
    /// Only what would have moved money is then certainly not attempted, and may be begun again. A question that failed
    /// is an answer to nothing.
    pub fn of_fault(kind: ExchangeKind, unsent: bool, reason: String) -> Self {
        if unsent && kind.moves_money() { Self::NotAttempted { reason } } else { Self::Unknown { reason } }
    }

    /// Its name.
    pub fn name(&self) -> VerdictName {
        match self {
            Self::Succeeded => VerdictName::Succeeded,
            Self::Authorized => VerdictName::Authorized,
            Self::Pending { .. } => VerdictName::Pending,
            Self::RequiresAction { .. } => VerdictName::RequiresAction,
            Self::Declined { .. } => VerdictName::Declined,
            Self::NotAttempted { .. } => VerdictName::NotAttempted,
            Self::Unknown { .. } => VerdictName::Unknown,
            Self::Returned { .. } => VerdictName::Returned,
            Self::Other { .. } => VerdictName::Other,
        }
    }
}

impl VerdictName {
    /// How much is known: a payment only moves up.
    fn rank(self) -> u8 {
        match self {
            Self::NotAttempted => 0,
            Self::Unknown | Self::Other => 1,
            Self::RequiresAction => 2,
            Self::Pending => 3,
            Self::Authorized => 4,
            Self::Declined => 5,
            Self::Succeeded => 6,
            Self::Returned => 7,
        }
    }

    /// Whether what was learnt later replaces what is known of a payment.
    ///
    /// Answers and notifications come late, twice and out of order. Money that was taken stays taken until it is known
    /// to have gone back; `unknown` never hides something that is known. A payment that was declined and then succeeds
    /// (the payer tried another card) has succeeded.
    pub fn gives_way_to(self, later: Self) -> bool {
        match (self, later) {
            // The gateway was asked and knows of nothing: that is the end of not knowing.
            (Self::Unknown | Self::Other, Self::NotAttempted)
            // What the payer sees next is always the latest.
            | (Self::Pending, Self::RequiresAction) => true,
            _ => later.rank() >= self.rank(),
        }
    }

    /// Whether nothing more is to be learnt by asking.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Declined | Self::Returned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payment_only_moves_up() {
        use VerdictName as V;
        for (known, later, replaces) in [
            (V::RequiresAction, V::Succeeded, true),
            (V::Succeeded, V::Pending, false),
            (V::Succeeded, V::Unknown, false),
            (V::Succeeded, V::Declined, false),
            (V::Succeeded, V::Returned, true),
            (V::Returned, V::Succeeded, false),
            (V::Declined, V::Succeeded, true),
            (V::Declined, V::Pending, false),
            (V::Pending, V::Unknown, false),
            (V::Unknown, V::Pending, true),
            (V::Unknown, V::NotAttempted, true),
            (V::Pending, V::NotAttempted, false),
            (V::RequiresAction, V::NotAttempted, false),
            (V::Pending, V::RequiresAction, true),
            (V::Authorized, V::Succeeded, true),
            (V::Authorized, V::Pending, false),
        ] {
            assert_eq!(known.gives_way_to(later), replaces, "{known} then {later}");
        }
    }

    #[test]
    fn only_what_would_have_moved_money_is_known_not_to_be_attempted_after_a_fault() {
        use ExchangeKind as K;
        let name = |kind, unsent| Verdict::of_fault(kind, unsent, "a trap".into()).name();
        for kind in [K::Pay, K::Capture, K::Cancel, K::Refund] {
            assert_eq!((name(kind, true), name(kind, false)), (VerdictName::NotAttempted, VerdictName::Unknown));
        }
        for kind in [K::Status, K::RefundStatus, K::Notification] {
            assert_eq!((name(kind, true), name(kind, false)), (VerdictName::Unknown, VerdictName::Unknown), "{kind}");
        }
    }

    #[test]
    fn a_verdict_reads_back_from_its_json() {
        let verdict = Verdict::RequiresAction { action: Action::Redirect { url: "https://a.example/".into() } };
        let json = serde_json::to_value(&verdict).unwrap();
        assert_eq!(json["is"], "requires-action");
        assert_eq!(serde_json::from_value::<Verdict>(json).unwrap(), verdict);
    }
}

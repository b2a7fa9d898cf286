//! The catalogue of problems: every code the interface answers, what it means and what to do.
//!
//! Owns the texts behind the `type` of a problem, served at `/problems/<code>`. Codes are for ever: a client branches on
//! them. Invariant: each code the services can answer has an entry, with the status it is answered with.

use axum::{
    extract::Path,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Edge, error::Problem};

macro_rules! catalogue {
    ($( $name:ident = $code:literal, $status:ident, $title:literal, $meaning:literal, $remedy:literal; )+) => {
        /// A kind of problem.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Code {
            $( #[doc = $meaning] $name, )+
        }

        impl Code {
            /// Every kind of problem.
            pub const ALL: &'static [Self] = &[$( Self::$name, )+];

            /// The stable code.
            pub const fn as_str(self) -> &'static str {
                match self { $( Self::$name => $code, )+ }
            }

            /// The HTTP status it is answered with.
            pub const fn status(self) -> StatusCode {
                match self { $( Self::$name => StatusCode::$status, )+ }
            }

            /// A short name for people.
            pub const fn title(self) -> &'static str {
                match self { $( Self::$name => $title, )+ }
            }

            /// What happened.
            pub const fn meaning(self) -> &'static str {
                match self { $( Self::$name => $meaning, )+ }
            }

            /// What the caller does about it.
            pub const fn remedy(self) -> &'static str {
                match self { $( Self::$name => $remedy, )+ }
            }
        }
    };
}

catalogue! {
    Unauthorized = "unauthorized", UNAUTHORIZED, "API key required",
        "The request carries no API key, or one that is unknown, expired or revoked.",
        "Send the header `Authorization: Bearer alt_…` with a valid key; ask an administrator for one.";
    Forbidden = "forbidden", FORBIDDEN, "Not allowed",
        "The API key is valid, but its role or its tenant does not permit this.",
        "Use a key with the role that `detail` names. A read-only key may only read.";
    NotFound = "not-found", NOT_FOUND, "Not found",
        "There is no such path, or no such object in the tenant that the request acts for. An object of another tenant is answered in the same way.",
        "Check the path, the id and the `Altyn-Tenant` header.";
    MethodNotAllowed = "method-not-allowed", METHOD_NOT_ALLOWED, "Method not allowed",
        "The path exists, but does not take this method.",
        "Use a method from the `Allow` header.";
    BadRequest = "bad-request", BAD_REQUEST, "Bad request",
        "The request is not understood.",
        "Correct what `detail` names and send the request again.";
    MalformedJson = "malformed-json", BAD_REQUEST, "Malformed JSON",
        "The body is not well-formed JSON.",
        "Correct the body at the line and column that `detail` names.";
    InvalidQuery = "invalid-query", BAD_REQUEST, "Invalid query",
        "A query parameter is unknown, repeated or has an unusable value.",
        "Use only the parameters that `detail` names; they are described in the interface's document.";
    InvalidRequest = "invalid-request", UNPROCESSABLE_ENTITY, "Invalid request",
        "The request is well-formed, but some of its fields are refused.",
        "Correct every field listed in `errors`; `pointer` says where, `message` says what is wanted.";
    UnsupportedMediaType = "unsupported-media-type", UNSUPPORTED_MEDIA_TYPE, "Unsupported media type",
        "The body has a content type that the operation does not take.",
        "Set `Content-Type` to the type that `detail` names.";
    BodyTooLarge = "body-too-large", PAYLOAD_TOO_LARGE, "Body too large",
        "The body is larger than the operation takes.",
        "Send less at once: split imports into several files.";
    KeyRequired = "idempotency-key-required", BAD_REQUEST, "Idempotency key required",
        "The operation creates something or moves money, and must not happen twice when a request is repeated.",
        "Send the header `Idempotency-Key` with a value of your own, new for each intent, and the same for each repetition.";
    KeyInvalid = "idempotency-key-invalid", BAD_REQUEST, "Invalid idempotency key",
        "The idempotency key is empty, too long or has characters that are not visible ASCII.",
        "Use 1 to 255 visible ASCII characters, for example a UUID.";
    KeyReused = "idempotency-key-reused", UNPROCESSABLE_ENTITY, "Idempotency key used before",
        "The key was used before with another request; that request's answer stands and nothing was done now.",
        "Use a new key for a new intent; repeat a request with exactly the same body.";
    VersionRequired = "version-required", PRECONDITION_REQUIRED, "Version required",
        "The operation changes an object, and must not overwrite a change that you have not seen.",
        "Read the object and send its `ETag` in the header `If-Match`.";
    StaleVersion = "stale-version", PRECONDITION_FAILED, "The object changed",
        "Somebody changed the object after you read it; nothing was written.",
        "Read the object again and repeat the change with the new `ETag`.";
    InternalError = "internal-error", INTERNAL_SERVER_ERROR, "Internal error",
        "The host failed; nothing was written. The log has the cause under the id in `instance`.",
        "Repeat the request with the same idempotency key; if it keeps failing, tell the operator the id in `instance`.";
    DatabaseUnavailable = "database-unavailable", SERVICE_UNAVAILABLE, "Database unavailable",
        "The database is busy or does not answer; nothing was written.",
        "Repeat the request with the same idempotency key after the seconds in `Retry-After`.";
    RequestTimeout = "request-timeout", SERVICE_UNAVAILABLE, "Took too long",
        "The request did not finish in the time a request has; unfinished work was undone.",
        "Repeat the request with the same idempotency key after the seconds in `Retry-After`.";
    NotReady = "not-ready", SERVICE_UNAVAILABLE, "Not ready",
        "The host runs, but its database does not answer or has another schema than this release.",
        "Check the database and run `altyn migrate`; `detail` says which of the two it is.";
    DuplicateExternalId = "duplicate-external-id", CONFLICT, "External id taken",
        "Another object has this external id in this external system.",
        "Use another external id, or change the object that has it.";
    DuplicateContract = "duplicate-contract", CONFLICT, "Contract number taken",
        "Another contract has this number or this external id.",
        "Use another number, or read the contract that has it.";
    DuplicateProduct = "duplicate-product", CONFLICT, "Product code taken",
        "Another product has this code.",
        "Use another code.";
    DuplicatePlan = "duplicate-plan", CONFLICT, "Plan code taken",
        "Another plan has this code.",
        "Use another code, or add a version to that plan.";
    DuplicateMeter = "duplicate-meter", CONFLICT, "Meter code taken",
        "Another meter has this code.",
        "Use another code.";
    TooManyPlanVersions = "too-many-plan-versions", CONFLICT, "Too many versions",
        "The plan has as many versions as a plan may have.",
        "Create another plan.";
    PlanWasOnSale = "plan-was-on-sale", CONFLICT, "The plan was on sale",
        "A plan that was on sale does not become a draft again.",
        "Archive it instead.";
    PlanNotOnSale = "plan-not-on-sale", CONFLICT, "The plan is not on sale",
        "Only an active plan is sold.",
        "Activate the plan or choose another.";
    PlanNotInEffect = "plan-not-in-effect", CONFLICT, "The plan is not sold on this day",
        "No version of the plan is in effect on the first day of service.",
        "Begin on a day from which a version is in effect, or add a version.";
    PlanPrivate = "plan-private", FORBIDDEN, "The plan is private",
        "A private plan is sold by managers, and the key helps customers to help themselves.",
        "Choose a public plan, or use a key with the role operator or admin.";
    ManagerOnly = "manager-only", FORBIDDEN, "Managers decide this",
        "The request asks for terms that a customer who helps himself does not give himself, such as a discount or a day in the past.",
        "Leave out what `detail` names, or use a key with the role operator or admin.";
    PlanVersionIncompatible = "plan-version-incompatible", CONFLICT, "Subscribers cannot go over",
        "An older version of the plan has another currency or cadence, so its subscribers cannot go over to the new one at a renewal.",
        "Keep existing subscribers, or make the version with their currency and cadence.";
    QuantityNotSold = "quantity-not-sold", CONFLICT, "Not sold in this quantity",
        "A component of the plan is sold with a least or a greatest quantity, and the wished one is outside.",
        "Choose a quantity that `detail` names, or another plan.";
    PriceOverrideOverlaps = "price-override-overlaps", CONFLICT, "Two prices on one day",
        "Another price of the contract holds for the component on some of these days.",
        "Remove that one, or choose other days.";
    PriceOverrideRemoved = "price-override-removed", CONFLICT, "The price was removed",
        "The price of the contract was removed before.",
        "There is nothing to remove.";
    TooManyPriceOverrides = "too-many-price-overrides", CONFLICT, "Too many prices",
        "The contract has as many prices of its own as a contract may have.",
        "Make a plan for it.";
    CurrencyMismatch = "currency-mismatch", CONFLICT, "Another currency",
        "The plan is priced in another currency than the contract's.",
        "Choose a plan in the contract's currency, or another contract.";
    BlockStands = "block-stands", CONFLICT, "Blocked already",
        "A block of this type stands on the object; at most one does.",
        "Read the block that stands, or lift it first.";
    BlockEnded = "block-ended", CONFLICT, "The block has ended",
        "The block was lifted, or its end has come.",
        "There is nothing to lift.";
    PromiseNotAllowed = "promise-not-allowed", CONFLICT, "No promises here",
        "No credit policy of the contract allows promised payments, or the contract pays afterwards.",
        "Allow them in the policy of the contract's group, channel or tenant.";
    PromiseTooMuch = "promise-too-much", CONFLICT, "Too much is promised",
        "The active promises of a contract may come to so much at most.",
        "Promise at most what `detail` says is left, or pay first.";
    PromiseTooOften = "promise-too-often", CONFLICT, "Promised too often",
        "The contract has as many active promises, or has promised as often this month, as its policy allows.",
        "Pay what is promised, or wait for the next month.";
    PromiseEnded = "promise-ended", CONFLICT, "The promise has ended",
        "The promise was kept, reduced, taken back or has expired.",
        "Read it: `status` says how it ended.";
    DuplicateCreditPolicy = "duplicate-credit-policy", CONFLICT, "The level has a policy",
        "The tenant, channel or group has a credit policy in this currency.",
        "Change that policy.";
    DuplicateDunningPolicy = "duplicate-dunning-policy", CONFLICT, "The scope has a policy",
        "There is one policy of dunning a scope, and this scope has it.",
        "Replace that policy.";
    ContractsNotRelated = "contracts-not-related", CONFLICT, "Contracts of different customers",
        "Money moves between contracts of one customer, or between one and those below it.",
        "Choose another contract, or set the hierarchy first.";
    NotEnoughMoney = "not-enough-money", CONFLICT, "Not enough money",
        "The contract has less money than is to be moved; promises and credit are not money.",
        "Move at most what `detail` names.";
    EndCharged = "end-charged", CONFLICT, "A period was charged up to the end",
        "The end that was set lies within a period that was charged up to it, so days behind it would not be charged.",
        "Subscribe again from that day.";
    SubscriptionEnded = "subscription-ended", CONFLICT, "The subscription has ended",
        "The subscription is cancelled or complete already.",
        "There is nothing to cancel.";
    SubscriptionNotPending = "subscription-not-pending", CONFLICT, "The subscription does not wait",
        "Only a subscription that was ordered as pending is activated, and only once.",
        "Read the subscription; it is in service, or was.";
    UseRecorded = "use-recorded", CONFLICT, "Recorded use would not be billed",
        "The terms are to end on a day behind which use is recorded that no other terms count: nobody would bill it.",
        "Choose a timing or a day that does not lie before that use.";
    SubscriptionUnbilled = "subscription-unbilled", CONFLICT, "A served period is not charged",
        "The subscription is to be stopped, and a period of it that began before is not charged: stopped it never would be.",
        "Close the days up to now, or bill the contract again where its plan was rejected or parked; then do it again.";
    OrderMoved = "order-moved", CONFLICT, "The order is another one now",
        "Prices, the contract's money or the plugins are not what they were when the order was previewed; nothing was done.",
        "Look at a new preview and send its hash.";
    OrderEnded = "order-ended", CONFLICT, "The order has ended",
        "The order was charged, taken back, or nobody paid for it in time.",
        "Read it: `status` says how it ended.";
    OrderInService = "order-in-service", CONFLICT, "The ordered subscription is in service",
        "Only an order whose subscription was not activated is taken back.",
        "Cancel the subscription: what is reserved is charged with its first period, or free again.";
    OrderStands = "order-stands", CONFLICT, "An order stands",
        "The subscription, or the posting, belongs to an order that is not in service yet.",
        "Take the order back instead.";
    OrderUnpaid = "order-unpaid", CONFLICT, "The order is not paid",
        "A subscription that was ordered is put in service once its first period is paid for.",
        "Pay what `detail` names, or take the order back.";
    SubscriptionLapsed = "subscription-lapsed", CONFLICT, "The subscription has lapsed",
        "It begins each period by hand and its last one is over: going on by itself it would be charged for all that passed since.",
        "Renew it first, then let it go on by itself.";
    ServiceTermNameTaken = "service-term-name-taken", CONFLICT, "Term name taken",
        "Another service term of the tenant has this name.",
        "Choose another name.";
    ServiceTermKeyTaken = "service-term-key-taken", CONFLICT, "Term key taken",
        "Another service term of the tenant, or a term of a tenant below, has this key; `details` names the tenants below.",
        "Choose a key that nobody here or below uses.";
    ServiceTermReadOnly = "service-term-read-only", CONFLICT, "Term of a tenant above",
        "The service term is a copy of one that a tenant above delegates, or what is left of such a copy.",
        "Create a term of your own.";
    ServiceTermInUse = "service-term-in-use", CONFLICT, "Term in use",
        "Plans on sale or living subscriptions of the tenant live by the service term.",
        "Put them under another term first.";
    ServiceTermFrozen = "service-term-frozen", CONFLICT, "Term frozen",
        "The tenant above deleted the service term; it serves those it served and takes nobody on.",
        "Choose another term.";
    ManualOperationDecided = "manual-operation-decided", CONFLICT, "Decided already",
        "The manual operation was approved, rejected or withdrawn before.",
        "Read the operation; there is nothing to decide.";
    ManualOperationObsolete = "manual-operation-obsolete", CONFLICT, "No longer due",
        "The subscription is paid or has changed since the manual operation was asked for.",
        "Wait for the next close of a day, which withdraws the operation, or reject it.";
    SubscriptionHeld = "subscription-held", CONFLICT, "The subscription is held",
        "The subscription is held stopped, by a block perhaps.",
        "Release it first.";
    TenantTreeTooDeep = "tenant-tree-too-deep", CONFLICT, "Too many levels of tenants",
        "The tree of tenants has as many levels as it may have.",
        "Create the tenant higher up.";
    SourceKeyTaken = "source-key-taken", CONFLICT, "Posted already",
        "A transaction with this source key is posted already.",
        "Read that transaction; use a new source key only for a new posting.";
    AlreadyReversed = "already-reversed", CONFLICT, "Reversed already",
        "The transaction is reversed already.",
        "There is nothing to reverse.";
    ChargeStands = "charge-stands", CONFLICT, "A charge stands",
        "The transaction posted a charge that fell due or was realised; the charge would go on without it.",
        "Credit the charge instead.";
    CreditStands = "credit-stands", CONFLICT, "A credit stands",
        "The transaction gave a part of a charge back; the credit would go on without it.",
        "Post an adjustment that takes the money again.";
    PromiseStands = "promise-stands", CONFLICT, "A promise stands",
        "The transaction gave, ended or charged a promised payment; the promise would go on without it.",
        "Revoke the promise instead; give its fee back by an adjustment.";
    ReversesAReversal = "reverses-a-reversal", CONFLICT, "A reversal is not reversed",
        "The transaction is itself a reversal.",
        "Post the right transaction instead.";
    VersionTaken = "version-taken", CONFLICT, "Plugin version taken",
        "Another component is installed under the same id and version.",
        "Raise the version of the component, so that evidence stays unambiguous.";
    PluginUnsigned = "plugin-unsigned", UNPROCESSABLE_ENTITY, "Plugin not signed",
        "The component has no signed manifest, and this installation takes signed plugins only.",
        "Send the manifest that its publisher signed; for development set `trust.unsigned` to `allow`.";
    PluginSignature = "plugin-signature", UNPROCESSABLE_ENTITY, "Wrong signature",
        "The signature does not fit the manifest: one of them was changed, or another key made it.",
        "Get the component and its manifest again from the publisher.";
    PluginManifest = "plugin-manifest", UNPROCESSABLE_ENTITY, "Manifest refused",
        "The signed manifest does not read, is for another component, or says something else than the component itself.",
        "Read `detail`: it names each difference; ask the publisher to sign this component.";
    PluginKeyUnknown = "plugin-key-unknown", UNPROCESSABLE_ENTITY, "Key not trusted",
        "The component is signed with a key that is not trusted here.",
        "Compare the key's id with the publisher's and trust it, or do not install.";
    PluginKeyRevoked = "plugin-key-revoked", CONFLICT, "Key revoked",
        "The key was revoked; it vouches for nothing new.",
        "Ask the publisher for a component signed with another key.";
    PluginKeyKnown = "plugin-key-known", CONFLICT, "Key known otherwise",
        "The key is in the list with another publisher or level.",
        "Revoke it; a key changes neither its publisher nor its level.";
    PluginDowngrade = "plugin-downgrade", CONFLICT, "An older version",
        "A newer version of the plugin is installed.",
        "Install a newer version, or ask for the downgrade with `allow_downgrade=true`; that is recorded.";
    PluginPublisher = "plugin-publisher", CONFLICT, "Another publisher",
        "The plugin's id is installed from another publisher.",
        "Choose another plugin id; an id stays with who brought it first.";
    MasterKeyAbsent = "master-key-absent", CONFLICT, "No master key",
        "Secrets are kept under a master key, and this host has none.",
        "Make a master key and configure it on every host; keep it apart from the database's backups.";
    MasterKeyNotCurrent = "master-key-not-current", CONFLICT, "Another master key is current",
        "This host's master key is not the one that the database's secrets are kept under.",
        "Configure the current one, or finish the rotation with `altyn secret rotate --master`.";
    WrongMasterKey = "wrong-master-key", CONFLICT, "Wrong master key",
        "This host's master keys do not open what the database holds.",
        "Configure the key with the id that `detail` names.";
    TooManySecrets = "too-many-secrets", CONFLICT, "Too many secrets",
        "The tenant has as many secrets as a tenant may have.",
        "Delete a secret that is not used any more.";
    ConsentRequired = "consent-required", CONFLICT, "The plugin asks for more",
        "The component asks for hosts or secrets that no operator has decided about; `details` names them.",
        "Grant them, or grant less on purpose: any answer of an operator counts. Then bind or upgrade again.";
    NothingToRollBack = "nothing-to-roll-back", CONFLICT, "Nothing to roll back",
        "The binding has the component it was made with, or was rolled back to it.",
        "Upgrade the binding instead, or end it.";
    TooManyStays = "too-many-stays", CONFLICT, "Too many stays",
        "Subscriptions stay on as many former components of the binding as they may.",
        "Migrate subscriptions with `POST /v1/bindings/{id}/migrate`, or upgrade with `\"existing\": \"migrate\"`.";
    CanaryRuns = "canary-runs", CONFLICT, "A component is on trial",
        "A component is on trial in the binding: its other component is kept until the trial is over.",
        "Promote the component on trial, or end its trial.";
    CanaryFault = "canary-fault", UNPROCESSABLE_ENTITY, "The component on trial failed",
        "A component on trial decides for this contract, and gave no answer that counts; nothing was written.",
        "Repeat the request when the trial is over; end it with `DELETE /v1/bindings/{id}/canary`.";
    BindingRequired = "binding-required", CONFLICT, "Required from above",
        "A tenant above requires its own plugin at this extension point.",
        "Ask that tenant to share the binding as `optional`.";
    NoBinding = "no-binding", CONFLICT, "No plugin bound",
        "No plugin is bound to an extension point on the business date.",
        "Install a plugin of that world and bind it to the tenant from that date or earlier.";
    NothingToShadow = "nothing-to-shadow", CONFLICT, "Nothing to compare",
        "The binding is of a gateway, which no run asks anything; or no plan of the rehearsed run depends on it.",
        "Compare a gateway with its recorded exchanges, and a numbering scheme with the recorded history.";
    GatewayCannot = "gateway-cannot", CONFLICT, "The gateway does not do this",
        "The bound gateway does not serve this operation, currency or amount with its configuration.",
        "Read what it can do at `/v1/gateways/{id}`, or use another binding.";
    BindingEnded = "binding-ended", CONFLICT, "The binding has ended",
        "A binding that has ended decides nothing and begins no payment; payments in flight go on.",
        "Use another binding.";
    BindingNotBegun = "binding-not-begun", CONFLICT, "The binding has not begun",
        "A binding of a gateway takes payments from its `effective_from` on, by the calendar of the tenant's zone.",
        "Use another binding until then, or bind the gateway from an earlier day.";
    GatewayNotShared = "gateway-not-shared", CONFLICT, "A gateway is not shared",
        "Tenants below cannot pay through the gateway of a tenant above: its account, secrets and notifications are that tenant's.",
        "Bind the gateway in each tenant that takes payments, with the secrets of that tenant's account.";
    PaymentNotTaken = "payment-not-taken", CONFLICT, "The payment was not taken",
        "Only money that was taken is given back.",
        "Ask how the payment stands; cancel one that is only held.";
    RefundExceedsPayment = "refund-exceeds-payment", CONFLICT, "Refunds exceed the payment",
        "This refund and those before it that were not declined are more than the payment.",
        "Refund less, or find out how the pending refunds stand.";
    ExchangeBusy = "exchange-busy", CONFLICT, "The exchange is under way",
        "Another host talks to the gateway about this exchange right now.",
        "Read the exchange in a minute.";
    CreditExceedsCharge = "credit-exceeds-charge", CONFLICT, "More than is left of the charge",
        "The credit is larger than what is left of the charge after its earlier credits, or nothing is left.",
        "Read the charge and its credits; give back at most what is left, or leave the amount out to give back all of it.";
    SubscriptionTransitional = "subscription-transitional", CONFLICT, "The subscription is being moved",
        "Another system is putting the subscription into service or out of it; no operation is available meanwhile.",
        "Repeat the request when that has ended.";
    ChangeMoved = "change-moved", CONFLICT, "The change would do something else",
        "Something moved between the preview and the execution; `errors` tells each difference. Nothing was done.",
        "Look at a new preview and send its hash.";
    ChangeUnbilled = "change-unbilled", CONFLICT, "A period is not charged yet",
        "A period that begins before the day of the change was not charged yet.",
        "Let the billing run charge it first, or choose an earlier day.";
    ChangeNotPossible = "change-not-possible", CONFLICT, "The subscription does not take this change",
        "The status or the end of the subscription does not allow the change.",
        "Read the subscription; `detail` says what is in the way.";
    ChangeNothing = "change-nothing", CONFLICT, "Nothing would change",
        "The subscription is on these terms already.",
        "There is nothing to do.";
    ChangeForbidden = "change-forbidden", CONFLICT, "The change is forbidden",
        "A row of a decision table forbids the change; `detail` names it.",
        "Change the table, or wish for something else.";
    EndInsideCharged = "end-inside-charged", CONFLICT, "Charged days lie behind the end",
        "Days from that one on are charged already, and would stay charged although nothing is provided.",
        "Make a change of the kind `cancel`, which gives them back, or send `keep_charged`.";
    ChangeNotScheduled = "change-not-scheduled", CONFLICT, "The change is not scheduled",
        "Only a change whose day has not come can be withdrawn.",
        "Make another change that leads back.";
    CancellationScheduled = "cancellation-scheduled", CONFLICT, "The end is scheduled",
        "The subscription ends on a day to come; a change that waits, too, would replace that.",
        "Withdraw the scheduled cancellation first if the subscription shall go on.";
    NothingToRenew = "nothing-to-renew", CONFLICT, "Nothing to renew",
        "The contract has no subscription that can be renewed; `details` names each with the reason.",
        "Subscribe it to a plan first.";
    SafetyBound = "safety-bound", CONFLICT, "A safety bound was reached",
        "The change has too many lines, or charges too far ahead.",
        "Do less at once; the bounds are in the configuration.";
    AlreadyCharged = "already-charged", CONFLICT, "A period was charged before",
        "A period that the change charges was charged before under the same terms.",
        "Look at the charges of the subscription.";
    DayNotOver = "day-not-over", CONFLICT, "The day lies ahead",
        "A run closes a day that has come at the tenant's.",
        "Wait for the day.";
    DayClosed = "day-closed", CONFLICT, "A later day is closed",
        "Days are closed in order, and a later one is closed already.",
        "Close the next open day; corrections are postings of today.";
    EarlierRunOpen = "earlier-run-open", CONFLICT, "An earlier run is open",
        "Days are closed in order, and the run of an earlier day is not finished.",
        "Finish or cancel that run first.";
    RunExists = "run-exists", CONFLICT, "The day has a run",
        "The day has a run already.",
        "Read that run instead.";
    RunNotAwaiting = "run-not-awaiting", CONFLICT, "The run awaits nothing",
        "Plans are confirmed while their run awaits confirmation.",
        "Read the run: it still computes, or it has ended.";
    RunEnded = "run-ended", CONFLICT, "The run has ended",
        "The run is done or cancelled.",
        "There is nothing to cancel.";
    RunInProgress = "run-in-progress", CONFLICT, "The run is worked on",
        "A host works on the run right now.",
        "Try again when it is done.";
    RunTakenOver = "run-taken-over", CONFLICT, "Another host works on the run",
        "Another host took the run over.",
        "Watch the run there; nothing is lost.";
    PlanChanged = "plan-changed", CONFLICT, "The plan changed",
        "The plan is not the one that was seen; `details` says how it differs. Nothing was billed.",
        "Read the new plan and confirm it by its hash.";
    PlanDecided = "plan-decided", CONFLICT, "The plan is decided",
        "The plan does not await this decision: it was confirmed, rejected or executed.",
        "Read the plan.";
    SecondConfirmationNeeded = "second-confirmation-needed", CONFLICT, "Somebody else must confirm, too",
        "The tenant wants two to confirm a plan, and this credential has confirmed it.",
        "Let another person confirm it with a key of their own.";
    PlanNotParked = "plan-not-parked", CONFLICT, "The plan is not parked",
        "Only a parked contract has somebody who cares for it.",
        "Read the plan; nothing is to be done about it.";
    SandboxEntered = "sandbox-entered", CONFLICT, "The tenant is in a sandbox",
        "A tenant has one sandbox, and this one is in it.",
        "Read it, let its time go, or wipe it.";
    SandboxNotEmpty = "sandbox-not-empty", CONFLICT, "There are books",
        "A tenant enters and leaves a sandbox without customers, postings and runs: real books never mix with those of a made-up time.",
        "Create a tenant for trying things out, or wipe the sandbox before you leave it.";
    SandboxUnderWay = "sandbox-under-way", CONFLICT, "The time is going",
        "The sandbox is on its way to the time that was asked for.",
        "Read the sandbox until `until_at` is gone; when a run awaits decisions, decide.";
    Busy = "busy", CONFLICT, "Changed too often",
        "Others kept changing the same objects; nothing was written.",
        "Try again.";
    PluginRefused = "plugin-refused", UNPROCESSABLE_ENTITY, "Plugin refused",
        "A component was not accepted, or answered that it cannot decide.",
        "Read `detail`: it names the interface, the version and what to do.";
    PluginMisconfigured = "plugin-misconfigured", UNPROCESSABLE_ENTITY, "Plugin misconfigured",
        "The plugin says that its configuration is wrong.",
        "End the binding and bind the component with a configuration that fits its schema.";
    PluginUnsupported = "plugin-unsupported", UNPROCESSABLE_ENTITY, "Not supported by the plugin",
        "The plugin says that it does not handle such a case.",
        "Bind a plugin that does.";
    PluginInvalid = "plugin-invalid", UNPROCESSABLE_ENTITY, "Question refused by the plugin",
        "The plugin says that what it was asked is not valid.",
        "Read `detail`; correct the data it names.";
    PluginTrap = "plugin-trap", UNPROCESSABLE_ENTITY, "Plugin crashed",
        "The plugin stopped in the middle of its work; its answer does not count.",
        "Show the evidence of the call to the plugin's author; bind another version.";
    PluginOutOfFuel = "plugin-out-of-fuel", UNPROCESSABLE_ENTITY, "Plugin computes too long",
        "The plugin used up its budget of instructions.",
        "Show the evidence to the plugin's author, or raise the limit of its world.";
    PluginMemoryLimit = "plugin-memory-limit", UNPROCESSABLE_ENTITY, "Plugin needs too much memory",
        "The plugin asked for more memory than its world allows.",
        "Show the evidence to the plugin's author, or raise the limit of its world.";
    PluginOutputLimit = "plugin-output-limit", UNPROCESSABLE_ENTITY, "Plugin answers too much",
        "The plugin's answer is larger than its world allows.",
        "Show the evidence to the plugin's author.";
    PluginInvalidAnswer = "plugin-invalid-answer", UNPROCESSABLE_ENTITY, "Plugin answered wrongly",
        "The plugin's answer breaks a rule that the host checks, such as the sum of net and tax.",
        "Show the evidence to the plugin's author; bind another version.";
    PluginInvalidQuestion = "plugin-invalid-question", UNPROCESSABLE_ENTITY, "Question cannot be asked",
        "What the plugin would be asked does not fit the contract.",
        "Read `detail`; correct the data it names.";
    PluginWrongWorld = "plugin-wrong-world", UNPROCESSABLE_ENTITY, "Plugin of another world",
        "The component does not implement the world it was called for.",
        "Bind a component of that world.";
    PluginInputLimit = "plugin-input-limit", UNPROCESSABLE_ENTITY, "Question too large",
        "The question to the plugin is larger than its world allows.",
        "Correct the data that makes it so large, or raise the limit of its world.";
    PluginCircuitOpen = "plugin-circuit-open", SERVICE_UNAVAILABLE, "Plugin left alone",
        "The plugin only failed lately and is not asked for a while.",
        "Show the evidence of its last calls to its author; bind another version or configuration.";
    PluginBusy = "plugin-busy", SERVICE_UNAVAILABLE, "Plugins are busy",
        "All places for plugin calls are taken.",
        "Repeat the request with the same idempotency key after the seconds in `Retry-After`.";
    PluginTimedOut = "plugin-timed-out", SERVICE_UNAVAILABLE, "Plugin took too long",
        "The plugin did not answer in the time its world allows.",
        "Repeat the request; if it keeps failing, show the evidence to the plugin's author.";
}

impl Code {
    /// The entry of a code.
    pub fn find(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|entry| entry.as_str() == code)
    }
}

/// The routes of the catalogue.
pub fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(page))
}

/// Lists the problems.
///
/// One line each: code, status and title.
#[utoipa::path(get, path = "/problems", operation_id = "problem_list", tag = "service",
    responses((status = 200, description = "The codes", body = String, content_type = "text/plain")))]
async fn list() -> Response {
    let line = |code: &Code| format!("{:<28} {}  {}", code.as_str(), code.status().as_u16(), code.title());
    let lines: Vec<String> = Code::ALL.iter().map(line).collect();
    text(lines.join("\n") + "\n")
}

/// Explains a problem.
///
/// The page behind the `type` of a problem: what it means and what to do.
#[utoipa::path(get, path = "/problems/{code}", operation_id = "problem_get", tag = "service",
    params(("code" = String, Path, description = "The code of a problem", example = "not-found")),
    responses((status = 200, description = "The explanation", body = String, content_type = "text/plain")))]
async fn page(Path(code): Path<String>) -> Result<Response, Problem> {
    let code = Code::find(&code).ok_or_else(|| Problem::new(Code::NotFound, "there is no problem with this code"))?;
    Ok(text(format!(
        "{} ({}, {})\n\nWhat it means\n{}\n\nWhat to do\n{}\n",
        code.title(),
        code.as_str(),
        code.status(),
        code.meaning(),
        code.remedy(),
    )))
}

fn text(body: String) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], body).into_response()
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    fn sources(directory: &Path, into: &mut Vec<String>) {
        for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
            if entry.path().is_dir() {
                sources(&entry.path(), into);
            } else {
                into.push(fs::read_to_string(entry.path()).unwrap());
            }
        }
    }

    /// The text literals that follow a mark in the services' sources.
    fn literals_after(mark: &str) -> BTreeSet<String> {
        let mut texts = Vec::new();
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("host/service/src"), &mut texts);
        let after = |text: &String| -> Vec<String> {
            let rests = text.split(mark).skip(1).filter_map(|rest| rest.trim_start().strip_prefix('"'));
            rests.filter_map(|rest| rest.split('"').next().map(ToOwned::to_owned)).collect()
        };
        texts.iter().flat_map(after).collect()
    }

    #[test]
    fn every_conflict_of_the_services_is_in_the_catalogue() {
        let codes = literals_after("conflict(");
        assert!(codes.len() > 20, "only {codes:?}");
        for code in &codes {
            let entry = Code::find(code).unwrap_or_else(|| panic!("{code} is missing in the catalogue"));
            assert_eq!(entry.status(), StatusCode::CONFLICT, "{code}");
        }
    }

    #[test]
    fn every_plugin_refusal_of_the_services_is_in_the_catalogue() {
        let codes = literals_after("ServiceError::Plugin { code:");
        assert!(!codes.is_empty());
        for code in codes {
            assert!(Code::find(&code).is_some(), "{code} is missing in the catalogue");
        }
    }

    #[test]
    fn codes_are_different_and_readable() {
        let distinct: BTreeSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(distinct.len(), Code::ALL.len());
        for code in Code::ALL {
            assert!(code.as_str().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{code:?}");
            assert!(code.meaning().ends_with('.') && code.remedy().ends_with('.'), "{code:?}");
            assert!(code.status().is_client_error() || code.status().is_server_error(), "{code:?}");
        }
    }
}

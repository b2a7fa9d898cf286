//! The command line: noun, verb, options.
//!
//! Translates words into commands of the services and answers into tables or JSON; it decides nothing. Data goes to
//! stdout, talk and the log to stderr. [`exit`] owns the exit codes.

mod api_keys;
mod author;
mod blocks;
mod calls;
mod canaries;
mod changes;
mod contracts;
mod credit;
mod customers;
mod declared;
mod demo;
mod documents;
mod dunning;
mod events;
mod exit;
mod gateways;
mod imports;
mod jobs;
mod ledger;
mod metering;
mod orders;
mod output;
mod plans;
mod plugin_limits;
mod plugins;
mod price_overrides;
mod progress;
mod promises;
mod proof;
mod publishing;
mod runs;
mod sandbox;
mod secrets;
mod sellers;
mod serve;
mod service_terms;
mod session;
mod settings;
mod shadow;
mod stays;
mod subscriptions;
mod tenants;

use std::process::ExitCode;

use clap::{Parser, Subcommand, error::ErrorKind};

use self::{
    exit::{EXIT_CODES, Exit, Failure},
    session::{Global, Session, start_log},
};

/// Billing whose money rules are WebAssembly plugins
#[derive(Debug, Parser)]
#[command(name = "altyn", version, after_help = EXIT_CODES, arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the HTTP interface and do the work that starts by itself
    Serve(serve::Serve),
    /// Bring the database's schema up to date
    Migrate,
    /// Show or check the settings
    #[command(subcommand)]
    Config(settings::ConfigCommand),
    /// Bill a month of example books end to end, then serve
    Demo(demo::Demo),
    /// Measure this machine: billing, ledger, plugin calls
    Bench(crate::bench::BenchArgs),
    /// Look into, install and bind plugins
    #[command(subcommand)]
    Plugin(plugins::PluginCommand),
    /// What a tenant keeps for its plugins
    #[command(subcommand)]
    Secret(secrets::SecretCommand),
    /// Operators and resellers
    #[command(subcommand)]
    Tenant(tenants::TenantCommand),
    /// Keys of the HTTP interface
    #[command(subcommand, name = "apikey")]
    ApiKey(api_keys::ApiKeyCommand),
    /// A tenant's legal entities
    #[command(subcommand)]
    Seller(sellers::SellerCommand),
    /// Who is billed
    #[command(subcommand)]
    Customer(customers::CustomerCommand),
    /// What customers agreed to; money lives here
    #[command(subcommand)]
    Contract(contracts::ContractCommand),
    /// What plans charge for
    #[command(subcommand)]
    Product(plans::ProductCommand),
    /// What subscriptions cost
    #[command(subcommand)]
    Plan(plans::PlanCommand),
    /// What single contracts pay instead of a plan's price
    #[command(subcommand)]
    Price(price_overrides::PriceCommand),
    /// What use is counted by
    #[command(subcommand)]
    Meter(metering::MeterCommand),
    /// Recorded use: import, events, what it comes to
    #[command(subcommand)]
    Usage(metering::UsageCommand),
    /// What contracts pay for
    #[command(subcommand)]
    Subscription(subscriptions::SubscriptionCommand),
    /// Subscriptions that are paid for before they are in service
    #[command(subcommand)]
    Order(orders::OrderCommand),
    /// Changes of subscriptions: upgrades, pauses, renewals and others
    #[command(subcommand)]
    Change(changes::ChangeCommand),
    /// Who has no access, since when and why
    #[command(subcommand)]
    Block(blocks::BlockCommand),
    /// What contracts may spend: limits, groups, hierarchy, transfers
    #[command(subcommand)]
    Credit(credit::CreditCommand),
    /// Promised payments
    #[command(subcommand)]
    Promise(promises::PromiseCommand),
    /// What becomes of unpaid subscriptions, and what tenants below are handed
    #[command(subcommand)]
    ServiceTerm(service_terms::ServiceTermCommand),
    /// What terms in manual mode wait for a person to decide
    #[command(subcommand)]
    ManualOperation(service_terms::ManualOperationCommand),
    /// Who owes, and what is done about it
    #[command(subcommand)]
    Dunning(dunning::DunningCommand),
    /// How many days before a charge customers hear of it
    #[command(subcommand)]
    Notice(events::NoticeCommand),
    /// What happened, for whoever tells others
    #[command(subcommand)]
    Event(events::EventCommand),
    /// The work that starts by itself: days, jobs, the clock
    #[command(subcommand)]
    Scheduler(jobs::SchedulerCommand),
    /// Import an operator's books
    #[command(subcommand)]
    Import(imports::ImportCommand),
    /// Exercise a bound payment gateway
    #[command(subcommand)]
    Gateway(gateways::GatewayCommand),
    /// Close days: billing runs and their plans
    #[command(subcommand)]
    Run(runs::RunCommand),
    /// A tenant with a clock of its own, to try things out
    #[command(subcommand)]
    Sandbox(sandbox::SandboxCommand),
    /// What was invoiced
    #[command(subcommand)]
    Invoice(documents::InvoiceCommand),
    /// What was charged
    #[command(subcommand)]
    Charge(documents::ChargeCommand),
    /// Accounts, transactions and the trial balance
    #[command(subcommand)]
    Ledger(ledger::LedgerCommand),
    /// Who decided an invoice line, and whether asking again gives the same
    Explain(proof::Explain),
    /// Check every invariant of the ledger and of billing
    Verify(proof::Verify),
}

/// The program: reads the arguments, runs the command, answers the exit code.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let json = cli.global.output == output::Output::Json;
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            Failure::failed(format!("the machine gives no threads: {error}")).print(json);
            return Exit::Failure.into();
        }
    };
    match runtime.block_on(run(cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print(json);
            failure.exit.into()
        }
    }
}

/// What clap has to say: help on stdout, complaints on stderr in the form that was asked for.
fn usage(error: &clap::Error) -> ExitCode {
    let help = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    let words: Vec<String> = std::env::args().collect();
    let json =
        words.iter().any(|word| word == "--output=json") || words.windows(2).any(|two| two == ["--output", "json"]);
    if json && !help {
        let text = error.render().to_string();
        let sentence = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
        Failure::usage(sentence).print(true);
    } else {
        let _ = error.print();
    }
    if help { ExitCode::SUCCESS } else { Exit::Usage.into() }
}

async fn run(cli: Cli) -> Result<(), Failure> {
    let global = cli.global;
    let command = match cli.command {
        Command::Plugin(command) => match command.without_database(&global).await? {
            Some(command) => Command::Plugin(command),
            None => return Ok(()),
        },
        Command::Secret(command) => match command.without_database(&global)? {
            Some(command) => Command::Secret(command),
            None => return Ok(()),
        },
        other => other,
    };
    match command {
        Command::Serve(command) => return command.run(&global).await,
        Command::Migrate => return serve::migrate(&global).await,
        Command::Config(command) => return command.run(&global),
        Command::Demo(command) => return Box::pin(command.run(&global)).await,
        Command::Bench(command) => return Box::pin(measure(&global, &command)).await,
        _ => {}
    }
    let config = global.load(None)?;
    start_log(&config.log);
    let session = Session::open(&global, config).await?.acting().await?;
    // Boxed: it has room for any command.
    let done = Box::pin(on_database(command, &session)).await;
    session.close().await;
    done
}

async fn on_database(command: Command, session: &Session) -> Result<(), Failure> {
    match command {
        Command::Plugin(command) => command.run(session).await,
        Command::Secret(command) => command.run(session).await,
        Command::Tenant(command) => command.run(session).await,
        Command::ApiKey(command) => command.run(session).await,
        Command::Seller(command) => command.run(session).await,
        Command::Customer(command) => command.run(session).await,
        Command::Contract(command) => command.run(session).await,
        Command::Product(command) => command.run(session).await,
        Command::Plan(command) => command.run(session).await,
        Command::Price(command) => command.run(session).await,
        Command::Meter(command) => command.run(session).await,
        Command::Usage(command) => command.run(session).await,
        Command::Subscription(command) => command.run(session).await,
        Command::Order(command) => command.run(session).await,
        Command::Change(command) => command.run(session).await,
        Command::Block(command) => command.run(session).await,
        Command::Credit(command) => command.run(session).await,
        Command::Promise(command) => command.run(session).await,
        Command::ServiceTerm(command) => command.run(session).await,
        Command::ManualOperation(command) => command.run(session).await,
        Command::Dunning(command) => command.run(session).await,
        Command::Notice(command) => command.run(session).await,
        Command::Event(command) => command.run(session).await,
        Command::Scheduler(command) => command.run(session).await,
        Command::Import(command) => command.run(session).await,
        Command::Gateway(command) => command.run(session).await,
        Command::Run(command) => command.run(session).await,
        Command::Sandbox(command) => command.run(session).await,
        Command::Invoice(command) => command.run(session).await,
        Command::Charge(command) => command.run(session).await,
        Command::Ledger(command) => command.run(session).await,
        Command::Explain(command) => command.run(session).await,
        Command::Verify(command) => command.run(session).await,
        // Handled before a database was opened.
        Command::Serve(_) | Command::Migrate | Command::Config(_) | Command::Demo(_) | Command::Bench(_) => Ok(()),
    }
}

/// `altyn bench`.
async fn measure(global: &Global, command: &crate::bench::BenchArgs) -> Result<(), Failure> {
    start_log(&global.load(None)?.log);
    let figures = crate::bench::run(command).await.map_err(|error| Failure::failed(format!("{error:#}")))?;
    let missed = if command.check { crate::bench::missed(&figures) } else { Vec::new() };
    match global.output {
        output::Output::Table => output::write(&crate::bench::table(&figures)),
        output::Output::Json => output::line(&format!("{:#}", serde_json::Value::Object(figures))),
    }
    if missed.is_empty() {
        return Ok(());
    }
    let told = format!("{} figures miss their aims on this machine", missed.len());
    Err(Failure::new(Exit::Failure, "aims-missed", told).with_details(missed))
}

/// Reads the text of a value, such as a role, that JSON writes as a word.
fn named<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(serde_json::Value::from(text)).map_err(|error| error.to_string())
}

/// Reads a JSON file as a command; `-` is stdin.
fn command_of<T: serde::de::DeserializeOwned>(file: &std::path::Path) -> Result<T, Failure> {
    let text =
        if file.as_os_str() == "-" { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(file) };
    let text = text.map_err(|error| Failure::usage(format!("cannot read {}: {error}", file.display())))?;
    serde_json::from_str(&text).map_err(|error| Failure::usage(format!("{} does not read: {error}", file.display())))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }

    #[test]
    fn no_command_gives_a_global_option_another_meaning() {
        fn walk(command: &clap::Command, globals: &[String]) {
            for option in command.get_arguments().filter_map(|argument| argument.get_long()) {
                assert!(!globals.iter().any(|global| global == option), "{} --{option}", command.get_name());
            }
            for below in command.get_subcommands() {
                walk(below, globals);
            }
        }
        let program = super::Cli::command();
        let globals: Vec<String> =
            program.get_arguments().filter_map(|argument| argument.get_long()).map(str::to_owned).collect();
        assert!(globals.contains(&"database".to_owned()));
        for command in program.get_subcommands() {
            walk(command, &globals);
        }
    }
}

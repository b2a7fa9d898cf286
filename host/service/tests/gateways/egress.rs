//! The way out: what names may say, what servers may do, and what is never followed.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use altyn_domain::exchange::{HttpResponse, Method};
use altyn_service::egress::{Egress, Outgoing, Own, SendError, Target};
use zeroize::Zeroizing;

use crate::wire::{Deed, Server, root};

fn outgoing(host: &str) -> Outgoing {
    let target = Target::parse(&format!("https://{host}/x?y=z"), &[host.to_owned()]).unwrap();
    let headers = vec![("accept".to_owned(), Zeroizing::new(b"text/plain".to_vec()))];
    Outgoing { method: Method::Post, target, headers, body: Zeroizing::new(b"body".to_vec()) }
}

fn resolving(answers: impl Fn() -> Vec<&'static str> + Send + Sync + 'static) -> Egress {
    Egress::resolving_by(Arc::new(move |_, port| {
        let found = answers().into_iter().map(|address| SocketAddr::new(address.parse().unwrap(), port)).collect();
        Box::pin(async move { Ok(found) })
    }))
}

async fn refused(egress: &Egress, host: &str) -> String {
    match egress.send(outgoing(host)).await {
        Err(SendError::NotSent(reason)) => reason,
        other => panic!("{host}: {other:?}"),
    }
}

#[tokio::test]
async fn a_name_that_points_inside_is_refused_whatever_else_it_points_at() {
    for inside in [
        "127.0.0.1",
        "0.0.0.0",
        "::1",
        "::",
        "::ffff:127.0.0.1",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "fe80::1",
        "fc00::1",
        "fec0::1",
        "169.254.169.254",
        "fd00:ec2::254",
        "100.64.0.1",
        "100.100.100.200",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "192.0.0.1",
        "198.18.0.1",
        "192.0.2.1",
        "203.0.113.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
    ] {
        let reason = refused(&resolving(move || vec![inside]), "cname-to-inside.example").await;
        assert!(reason.contains("not a public one"), "{inside}: {reason}");
        for mixed in [vec!["8.8.8.8", inside], vec![inside, "8.8.8.8"]] {
            let reason = refused(&resolving(move || mixed.clone()), "mixed.example").await;
            assert!(reason.contains("not a public one"), "{inside}: {reason}");
        }
    }
}

#[tokio::test]
async fn a_name_is_resolved_once_so_that_it_cannot_flip() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&asked);
    // A rebinding server would answer a public address first, and the machine itself to whoever asks again.
    let egress = resolving(move || match counting.fetch_add(1, Ordering::SeqCst) {
        0 => vec!["127.0.0.2"],
        _ => vec!["8.8.8.8"],
    });
    refused(&egress, "flips.example").await;
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_name_without_an_answer_fails_closed() {
    let empty = resolving(Vec::new);
    assert!(refused(&empty, "nobody.example").await.contains("no address"));
    let silent = Egress::resolving_by(Arc::new(|_, _| Box::pin(std::future::pending())));
    let started = Instant::now();
    assert!(refused(&silent, "silent.example").await.contains("in time"));
    assert!(started.elapsed() < Duration::from_secs(8));
}

#[tokio::test]
async fn the_real_resolver_is_held_to_the_same_rules() {
    // Whatever the machine's own name server says of it, the loopback is not spoken to.
    for host in ["localhost", "foo.localhost", "metadata.google.internal"] {
        refused(&Egress::public(), host).await;
    }
}

#[tokio::test]
async fn this_installation_is_not_spoken_to_under_any_name() {
    let own = |entries: &[&str]| Own::read(&entries.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap();
    // Whoever has a name of his own may point it at us: the address decides, after it was resolved.
    for address in ["8.8.4.4", "2a02:5180::7"] {
        let egress = resolving(move || vec!["8.8.8.8", address]).without(own(&["8.8.4.4:443", "2a02:5180::7"]));
        let reason = refused(&egress, "evil.example").await;
        assert!(reason.contains(address) && reason.contains("this installation"), "{reason}");
    }
    let egress = resolving(|| vec!["8.8.8.8"]).without(own(&["billing.example"]));
    assert!(refused(&egress, "billing.example").await.contains("this installation"));
    let reason = refused(&egress, "evil.example").await;
    assert!(reason.contains("8.8.8.8") && reason.contains("this installation"), "{reason}: as our name resolves");
}

async fn with(script: impl Fn(&crate::wire::Seen) -> Deed + Send + Sync + 'static) -> (Server, Egress) {
    let server = Server::start(script).await;
    let names =
        HashMap::from([("auth.robokassa.ru".to_owned(), server.address), ("other.example".to_owned(), server.address)]);
    (server, Egress::over_test_network(names, &root()).unwrap())
}

async fn sent(egress: &Egress) -> Result<HttpResponse, SendError> {
    egress.send(outgoing("auth.robokassa.ru")).await
}

#[tokio::test]
async fn a_request_arrives_as_it_was_made() {
    let (server, egress) = with(|_| Deed::Answer(200, "hello".into())).await;
    let response = sent(&egress).await.unwrap();
    assert_eq!((response.status, response.body.as_slice()), (200, &b"hello"[..]));
    let seen = server.seen().remove(0);
    assert_eq!((seen.line.as_str(), seen.body.as_str()), ("POST /x?y=z HTTP/1.1", "body"));
    assert_eq!((seen.header("host"), seen.header("accept-encoding")), ("auth.robokassa.ru", "identity"));
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_not_followed() {
    for status in [301, 302, 303, 307, 308] {
        let (server, egress) = with(move |_| {
            Deed::Plain(format!("HTTP/1.1 {status} X\r\nlocation: https://127.0.0.1/\r\ncontent-length: 0\r\n\r\n"))
        })
        .await;
        assert_eq!(sent(&egress).await.unwrap().status, status);
        assert_eq!(server.seen().len(), 1);
    }
}

#[tokio::test]
async fn an_answer_is_bounded_in_size_head_and_coding() {
    let large = "x".repeat((256 << 10) + 1);
    let heads = (0..200).fold(String::new(), |text, n| format!("{text}x-{n}: y\r\n"));
    for text in [
        format!("HTTP/1.1 200 X\r\ncontent-length: {}\r\n\r\n{large}", large.len()),
        format!("HTTP/1.1 200 X\r\nconnection: close\r\n\r\n{large}"),
        format!("HTTP/1.1 200 X\r\n{heads}content-length: 0\r\n\r\n"),
        "HTTP/1.1 200 X\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\nxx".into(),
        "HTTP/1.1 200 X\r\ncontent-length: 9\r\n\r\nxx".into(),
        "no http at all\r\n\r\n".into(),
    ] {
        let (_server, egress) = with(move |_| Deed::Plain(text.clone())).await;
        let answer = sent(&egress).await;
        assert!(matches!(answer, Err(SendError::Lost(_))), "{answer:?}");
    }
}

#[tokio::test]
async fn a_server_that_hangs_up_or_is_silent_loses_the_answer_in_bounded_time() {
    let (_server, egress) = with(|_| Deed::HangUp).await;
    assert!(matches!(sent(&egress).await, Err(SendError::Lost(_))));
    let (_server, egress) = with(|_| Deed::Silence).await;
    let started = Instant::now();
    assert!(matches!(sent(&egress).await, Err(SendError::Lost(_))));
    assert!(started.elapsed() < Duration::from_secs(15));
}

/// P10: what comes byte by byte keeps nobody longer than the whole request may take.
#[tokio::test]
async fn a_server_that_drips_a_byte_a_second_is_left_in_bounded_time() {
    let minute = "x".repeat(60);
    let dripped = |head: String, rest: String| async move {
        let (_server, egress) = with(move |_| Deed::Drip(head.clone(), rest.clone())).await;
        let started = Instant::now();
        let answer = sent(&egress).await;
        (answer, started.elapsed())
    };
    let (body, head) = tokio::join!(
        dripped("HTTP/1.1 200 X\r\ncontent-length: 60\r\n\r\n".into(), minute.clone()),
        dripped("HTTP/1.1 200 X\r\nx-a: ".into(), minute),
    );
    for (part, (answer, took)) in [("body", body), ("head", head)] {
        let Err(SendError::Lost(reason)) = answer else { panic!("{part}: {answer:?}") };
        assert!(reason.contains("did not answer within 10 s"), "{part}: {reason}");
        assert!(took < Duration::from_secs(20), "{part}: {took:?}");
    }
}

/// P10: what has no end is left when it is too large, not when the time is up.
#[tokio::test]
async fn a_server_that_answers_without_end_is_left_when_the_answer_is_too_large() {
    let block = "x".repeat(16 << 10);
    for (head, rest, told) in [
        ("HTTP/1.1 200 X\r\nconnection: close\r\n\r\n", block.clone(), "answers more than 256 KiB"),
        (
            "HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n",
            format!("4000\r\n{block}\r\n"),
            "answers more than 256 KiB",
        ),
        // Of a head as of a chunk's extension it is the parser that gives up.
        ("HTTP/1.1 200 X\r\n", format!("x-a: {block}\r\n"), "auth.robokassa.ru: "),
        ("HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n1;", block.clone(), "auth.robokassa.ru breaks off: "),
    ] {
        let (_server, egress) = with(move |_| Deed::Endless(head.into(), rest.clone())).await;
        let answer = sent(&egress).await;
        let Err(SendError::Lost(reason)) = answer else { panic!("{head:?}: {answer:?}") };
        assert!(reason.contains(told) && !reason.contains("within"), "{head:?}: {reason}");
    }
}

#[tokio::test]
async fn a_server_that_cannot_prove_its_name_receives_nothing() {
    let (server, egress) = with(|_| Deed::Answer(200, String::new())).await;
    let answer = egress.send(outgoing("other.example")).await;
    assert!(matches!(answer, Err(SendError::NotSent(_))), "{answer:?}");
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_certainly_not_sent() {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let names = HashMap::from([("auth.robokassa.ru".to_owned(), free)]);
    let egress = Egress::over_test_network(names, &root()).unwrap();
    assert!(matches!(sent(&egress).await, Err(SendError::NotSent(_))));
}

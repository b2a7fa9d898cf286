//! x
#![expect(clippy::print_stdout, reason="x")]
#[path = "../tests/common/mod.rs"]
#[expect(dead_code, reason="x")]
mod common;
use common::*;
use std::time::Instant;
fn p50(mut f: impl FnMut(), n: usize) -> u128 { let mut v: Vec<u128> = (0..n).map(|_| { let t = Instant::now(); f(); t.elapsed().as_nanos() }).collect(); v.sort(); v[n/2] }
fn main() {
    let (day, vat, num) = (plugin("day-ratio"), plugin("ru-vat"), plugin("number-template"));
    let ctx = context(r#"{}"#); let tctx = context(r#"{"regime":"general"}"#); let nctx = context(r#"{"template":"СЧ-{year}-{seq:6}"}"#);
    let q1 = [question(0, 1000)]; let d1 = [document(0, "b", &[1000])];
    let qs: Vec<_> = (0..1000).map(|i| question(i, 59000)).collect();
    let docs: Vec<_> = (0..1000).map(|i| document(i, "buyer", &[59000])).collect();
    let docs3: Vec<_> = (0..250).map(|i| document(i, "buyer", &[59000, 100, 200, 300])).collect();
    let drafts: Vec<_> = (0..1000).map(|i| draft(i, "D-1")).collect();
    let vals: Vec<u64> = (1..=1000).collect();
    for _ in 0..2 {
    println!("fresh prorate 1: {} ns", p50(|| { RUNTIME.prorate(&day, &ctx, &q1).result.unwrap(); }, 2000));
    println!("fresh assess 1: {} ns", p50(|| { RUNTIME.assess(&vat, &tctx, &d1).result.unwrap(); }, 2000));
    println!("fresh seq 1: {} ns", p50(|| { RUNTIME.sequences(&num, &nctx, &drafts[..1]).result.unwrap(); }, 2000));
    println!("prorate 1000: {} ns/line", p50(|| { RUNTIME.prorate(&day, &ctx, &qs).result.unwrap(); }, 50)/1000);
    println!("assess 1000 docs: {} ns/line", p50(|| { RUNTIME.assess(&vat, &tctx, &docs).result.unwrap(); }, 50)/1000);
    println!("assess 250x4: {} ns/line", p50(|| { RUNTIME.assess(&vat, &tctx, &docs3).result.unwrap(); }, 50)/1000);
    println!("sequences 1000: {} ns/line", p50(|| { RUNTIME.sequences(&num, &nctx, &drafts).result.unwrap(); }, 50)/1000);
    println!("numbers 1000: {} ns/line", p50(|| { RUNTIME.numbers(&num, &nctx, &drafts, &vals).result.unwrap(); }, 50)/1000);
    }
    let c = RUNTIME.assess(&vat, &tctx, &docs); println!("in {} out {} fuel {} peak {} dur {}us", c.record.input.len(), c.record.output.len(), c.record.fuel, c.record.peak_memory_bytes, c.record.duration_us);
    let c = RUNTIME.prorate(&day, &ctx, &qs); println!("in {} out {} fuel {} peak {} dur {}us", c.record.input.len(), c.record.output.len(), c.record.fuel, c.record.peak_memory_bytes, c.record.duration_us);
    let c = RUNTIME.sequences(&num, &nctx, &drafts); println!("in {} out {} fuel {} peak {} dur {}us", c.record.input.len(), c.record.output.len(), c.record.fuel, c.record.peak_memory_bytes, c.record.duration_us);
    let c = RUNTIME.prorate(&day, &ctx, &q1); println!("1: fuel {} peak {} dur {}us", c.record.fuel, c.record.peak_memory_bytes, c.record.duration_us);
}

//! The demo's workload: a small shop that takes orders as text, prices them, keeps a stock, packs a
//! journal, writes and reads it, and starts a short-lived child for each invoice. It works through
//! fixed batches and sleeps in between, so that it takes about a quarter of one core.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::hash::{BuildHasher as _, Hasher as _};
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const ORDERS_PER_BATCH: u64 = 400;
/// Busy time over all time, of one core.
const SHARE: f64 = 0.27;

fn main() {
    if std::env::args().nth(1).as_deref() == Some("invoice") {
        return invoice::print();
    }
    let mut shop = Shop::default();
    for batch in 0_u64.. {
        let started = Instant::now();
        shop.serve(batch);
        let busy = started.elapsed().as_secs_f64();
        thread::sleep(Duration::from_secs_f64((busy / SHARE - busy).clamp(0.001, 1.0)));
    }
}

#[derive(Default)]
struct Shop {
    stock: HashMap<String, u64>,
    journal: Vec<u8>,
}

impl Shop {
    #[inline(never)]
    fn serve(&mut self, batch: u64) {
        let mut sales = BTreeMap::<String, f64>::new();
        for number in 0..ORDERS_PER_BATCH {
            let text = receive(batch * ORDERS_PER_BATCH + number);
            let Some(order) = parse::order(&text) else { continue };
            let price = pricing::total(&order);
            *sales.entry(order.customer.clone()).or_default() += price;
            self.take_from_stock(&order);
            self.journal.extend_from_slice(text.as_bytes());
        }
        report::best_customers(&sales);
        self.flush();
        if batch % 8 == 0 {
            start_invoice();
        }
    }

    #[inline(never)]
    fn take_from_stock(&mut self, order: &parse::Order) {
        for (item, count) in &order.items {
            let left = self.stock.entry(item.clone()).or_insert(1_000_000);
            *left = left.saturating_sub(*count);
        }
    }

    #[inline(never)]
    fn flush(&mut self) {
        let packed = journal::pack(&self.journal);
        let sum = journal::checksum(&packed);
        let path = std::env::temp_dir().join(format!("sonde-shop-{}.journal", std::process::id()));
        if journal::write(&path, &packed, sum).is_ok() {
            let _unreadable = journal::read_back(&path, packed.len());
        }
        let _gone = fs::remove_file(&path);
        self.journal.clear();
    }
}

/// An order as it would come over the network; the number decides what is in it.
#[inline(never)]
fn receive(number: u64) -> String {
    let mut items = String::new();
    for position in 0..(3 + number % 9) {
        let item = number.wrapping_mul(31).wrapping_add(position * 7) % 97;
        items.push_str(&format!("{{\"item\":\"article-{item}\",\"count\":{}}},", 1 + item % 5));
    }
    items.pop();
    format!("{{\"customer\":\"customer-{}\",\"items\":[{items}]}}\n", number % 211)
}

mod parse {
    pub struct Order {
        pub customer: String,
        pub items: Vec<(String, u64)>,
    }

    #[inline(never)]
    pub fn order(text: &str) -> Option<Order> {
        let customer = string_field(text, "customer")?;
        let list = text.split_once('[')?.1.split_once(']')?.0;
        Some(Order { customer, items: list.split("},").filter_map(item).collect() })
    }

    #[inline(never)]
    fn item(text: &str) -> Option<(String, u64)> {
        Some((string_field(text, "item")?, number_field(text, "count")?))
    }

    #[inline(never)]
    fn string_field(text: &str, name: &str) -> Option<String> {
        let (_, rest) = text.split_once(&format!("\"{name}\":\""))?;
        rest.split_once('"').map(|(value, _)| value.to_owned())
    }

    #[inline(never)]
    fn number_field(text: &str, name: &str) -> Option<u64> {
        let (_, rest) = text.split_once(&format!("\"{name}\":"))?;
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    }
}

mod pricing {
    use super::parse::Order;

    #[inline(never)]
    pub fn total(order: &Order) -> f64 {
        order.items.iter().map(|(item, count)| unit_price(item) * *count as f64).sum::<f64>()
            * discount(&order.customer)
    }

    #[inline(never)]
    fn unit_price(item: &str) -> f64 {
        // A slow converging sum, as in pricing models.
        let base = item.bytes().map(f64::from).sum::<f64>();
        (1..160).map(|term| base / f64::from(term * term)).sum::<f64>().sqrt()
    }

    #[inline(never)]
    fn discount(customer: &str) -> f64 {
        1.0 - (customer.len() % 7) as f64 / 100.0
    }
}

mod report {
    use std::collections::BTreeMap;

    #[inline(never)]
    pub fn best_customers(sales: &BTreeMap<String, f64>) -> Vec<(&str, f64)> {
        let mut ranked: Vec<(&str, f64)> =
            sales.iter().map(|(name, sum)| (name.as_str(), *sum)).collect();
        for _ in 0..24 {
            ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
            ranked.sort_by(|a, b| a.0.cmp(b.0));
        }
        std::hint::black_box(ranked)
    }
}

mod journal {
    use super::*;
    use std::path::Path;

    /// Replaces what was seen in the last 4 KiB by its distance and length.
    #[inline(never)]
    pub fn pack(bytes: &[u8]) -> Vec<u8> {
        let mut packed = Vec::with_capacity(bytes.len());
        let mut seen = HashMap::<[u8; 4], usize>::new();
        let mut at = 0;
        while at + 4 <= bytes.len() {
            let key = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
            match seen.insert(key, at).filter(|earlier| at - earlier < 4096) {
                Some(earlier) => {
                    let length = matching(&bytes[earlier..], &bytes[at..]);
                    packed.extend_from_slice(&[0xff, (at - earlier) as u8, length as u8]);
                    at += length;
                }
                None => {
                    packed.push(bytes[at]);
                    at += 1;
                }
            }
        }
        packed
    }

    #[inline(never)]
    fn matching(earlier: &[u8], later: &[u8]) -> usize {
        earlier.iter().zip(later).take(255).take_while(|(a, b)| a == b).count().max(1)
    }

    #[inline(never)]
    pub fn checksum(bytes: &[u8]) -> u64 {
        let state = std::hash::BuildHasherDefault::<std::hash::DefaultHasher>::default();
        let mut hasher = state.build_hasher();
        (0..12).for_each(|_| hasher.write(bytes));
        hasher.finish()
    }

    #[inline(never)]
    pub fn write(path: &Path, packed: &[u8], sum: u64) -> std::io::Result<()> {
        let mut file = File::create(path)?;
        for part in packed.chunks(512) {
            file.write_all(part)?;
        }
        file.write_all(&sum.to_le_bytes())
    }

    #[inline(never)]
    pub fn read_back(path: &Path, size: usize) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(size);
        File::open(path)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// An invoice is printed by a process of its own, which lives some 20 ms.
#[inline(never)]
fn start_invoice() {
    let Ok(myself) = std::env::current_exe() else { return };
    let started = Command::new(myself).arg("invoice").stdout(Stdio::null()).spawn();
    if let Ok(mut child) = started {
        thread::spawn(move || child.wait());
    }
}

mod invoice {
    #[inline(never)]
    pub fn print() {
        let mut page = String::new();
        for line in 0..6_000_u32 {
            render_line(&mut page, line);
        }
        println!("{}", page.len());
    }

    #[inline(never)]
    fn render_line(page: &mut String, line: u32) {
        page.push_str(&format!("{line:>6}  article-{:<4} {:>9.2}\n", line % 97, f64::from(line) / 7.0));
    }
}

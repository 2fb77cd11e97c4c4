//! Rows to the bytes of a page.

use rustc_hash::FxHashMap;
use sonde_ebpf::unwind::{INDEX_AT, MAX_PAGE_BYTES, PAGE_TEXT_BYTES, ROWS_AT, RULES_AT, Rule};

use super::fold::{Row, fold};

/// Rules that a page can name; the last number stands for all that found no place.
const MAX_RULES: usize = 256;

/// The rows of 64 KiB of text, in order of address.
#[derive(Debug)]
pub(super) struct PageRows {
    first_svma: u64,
    rows: Vec<Row>,
}

/// Puts one rule over all that hold from `start` to `end`.
pub(super) fn overlay<A: Ord>(rows: &mut Vec<(A, Rule)>, start: A, end: A, rule: Rule) {
    let first = rows.partition_point(|(at, _)| *at < start);
    let behind = rows.partition_point(|(at, _)| *at <= end);
    let Some(after) = behind.checked_sub(1).map(|last| rows[last].1) else { return };
    rows.splice(first..behind, [(start, rule), (end, after)]);
}

impl PageRows {
    /// An empty page for the text around an address: nothing is known of it.
    pub(super) fn new(svma: u64) -> Self {
        Self { first_svma: svma & !(PAGE_TEXT_BYTES - 1), rows: vec![(0, Rule::NO_INFO)] }
    }

    /// SVMA of the first byte.
    pub(super) const fn start(&self) -> u64 {
        self.first_svma
    }

    /// SVMA behind the last byte.
    pub(super) const fn end(&self) -> u64 {
        self.first_svma.saturating_add(PAGE_TEXT_BYTES)
    }

    /// From `svma` on, this rule holds. What is before the page counts for its beginning; what is
    /// behind it, or before a row that is there already, does not count.
    pub(super) fn push(&mut self, svma: u64, rule: Rule) {
        if svma >= self.end() {
            return;
        }
        let Ok(low) = u16::try_from(svma.saturating_sub(self.first_svma)) else { return };
        match self.rows.last_mut() {
            Some((last, _)) if *last > low => return,
            Some((last, held)) if *last == low => *held = rule,
            Some((_, held)) if *held == rule => return,
            _ => self.rows.push((low, rule)),
        }
        // The row before may say the same now that this one was replaced.
        if let [.., (_, before), (_, last)] = &self.rows[..]
            && before == last
        {
            self.rows.pop();
        }
    }

    /// From `start` to `end` this rule holds, whatever was pushed.
    pub(super) fn overlay(&mut self, start: u64, end: u64, rule: Rule) {
        let low = |svma: u64| u16::try_from(svma.saturating_sub(self.first_svma)).ok();
        let (Some(from), to) = (low(start), low(end)) else { return };
        match to {
            Some(to) if from < to => overlay(&mut self.rows, from, to, rule),
            Some(_) => {}
            None => {
                self.rows.truncate(self.rows.partition_point(|(at, _)| *at < from));
                self.rows.push((from, rule));
            }
        }
    }

    /// Rows so far.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The page, but for its generation and time of use.
    pub(super) fn encode(&self) -> Vec<u8> {
        let folded = fold(&self.rows, MAX_RULES);
        let rules = Dictionary::of(&folded);
        if !rules.is_short {
            return encode(&folded, &rules);
        }
        // Rules for runs must not take the place of others.
        let plain = Dictionary::of(&self.rows).list.len();
        let folded = fold(&self.rows, MAX_RULES - plain);
        encode(&folded, &Dictionary::of(&folded))
    }
}

fn encode(rows: &[Row], rules: &Dictionary) -> Vec<u8> {
    let rules_at = (ROWS_AT as usize + 2 * rows.len()).next_multiple_of(4);
    let size = rules_at + 4 * rules.list.len();
    if size > MAX_PAGE_BYTES {
        // Only a file made to be odd has so many rows.
        let all = [(0, Rule::UNSUPPORTED)];
        return encode(&all, &Dictionary::of(&all));
    }
    let mut page = vec![0; size];
    let rules_at_value = u16::try_from(rules_at).unwrap_or(u16::MAX);
    put(&mut page, RULES_AT as usize, &rules_at_value.to_ne_bytes());
    let mut next = 0;
    for bucket in 0..=256_usize {
        while rows.get(next).is_some_and(|(low, _)| usize::from(*low) < bucket << 8) {
            next += 1;
        }
        let first = u16::try_from(next).unwrap_or(u16::MAX);
        put(&mut page, INDEX_AT as usize + 2 * bucket, &first.to_ne_bytes());
    }
    for (place, (low, rule)) in rows.iter().enumerate() {
        let [key, _] = low.to_le_bytes();
        put(&mut page, ROWS_AT as usize + 2 * place, &[key, rules.number(*rule)]);
    }
    for (place, rule) in rules.list.iter().enumerate() {
        put(&mut page, rules_at + 4 * place, &rule.0.to_ne_bytes());
    }
    page
}

fn put(page: &mut [u8], at: usize, bytes: &[u8]) {
    page[at..at + bytes.len()].copy_from_slice(bytes);
}

/// The rules of a page, numbered.
struct Dictionary {
    list: Vec<Rule>,
    numbers: FxHashMap<Rule, u8>,
    /// Not all rules have found a place.
    is_short: bool,
}

impl Dictionary {
    fn of(rows: &[Row]) -> Self {
        let mut counts: FxHashMap<Rule, usize> = FxHashMap::default();
        for (_, rule) in rows {
            *counts.entry(*rule).or_default() += 1;
        }
        let mut list: Vec<Rule> = counts.keys().copied().collect();
        // The frequent ones, should there be too many; else by value, so that a page of the same
        // rows has the same bytes.
        let is_short = list.len() > MAX_RULES;
        if is_short {
            list.sort_by_key(|rule| (std::cmp::Reverse(counts[rule]), *rule));
            list.truncate(MAX_RULES - 1);
            list.push(Rule::UNSUPPORTED);
        } else {
            list.sort();
        }
        let numbers = (0..=u8::MAX).zip(&list).map(|(number, rule)| (*rule, number)).collect();
        Self { list, numbers, is_short }
    }

    fn number(&self, rule: Rule) -> u8 {
        self.numbers.get(&rule).copied().unwrap_or(u8::MAX)
    }
}

/// A page that is not in the arena.
pub(super) struct OwnPage<'a>(pub(super) &'a [u8]);

impl sonde_ebpf::unwind::PageBytes for OwnPage<'_> {
    fn u8(&self, at: u32) -> u8 {
        self.0.get(at as usize).copied().unwrap_or(0)
    }

    fn u16(&self, at: u32) -> u16 {
        u16::from_ne_bytes([self.u8(at), self.u8(at.wrapping_add(1))])
    }

    fn u32(&self, at: u32) -> u32 {
        u32::from_ne_bytes([0, 1, 2, 3].map(|byte| self.u8(at.wrapping_add(byte))))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sonde_ebpf::unwind::{Kind, find_rule};

    use super::*;

    fn rule(number: i64) -> Rule {
        Rule::offset(Kind::Sp, 8 * number, 0)
    }

    fn check(rows: &[(u64, Rule)]) -> Result<(), TestCaseError> {
        let base = 0x7_0000;
        let mut page = PageRows::new(base + 5);
        for (offset, rule) in rows {
            page.push(base + offset, *rule);
        }
        let bytes = page.encode();
        let (mut expected, mut next) = (Rule::NO_INFO, rows.iter().peekable());
        for address in 0..PAGE_TEXT_BYTES {
            while let Some((_, rule)) = next.next_if(|(at, _)| *at <= address) {
                expected = *rule;
            }
            prop_assert_eq!(find_rule(&OwnPage(&bytes), base + address), expected);
        }
        Ok(())
    }

    /// Functions as compilers write them, out of few shapes, so that folding is worth it.
    fn functions() -> impl Strategy<Value = Vec<(u64, Rule)>> {
        let step =
            (1_u64..19, prop::sample::select(vec![-1_i64, -1, -1, 1, 1, 1, 1, 5, -5]), 0..12_u8);
        let shape = prop::collection::vec(step, 1..16);
        let placed = prop::collection::vec((any::<prop::sample::Index>(), 0_u64..60), 1..700);
        (prop::collection::vec(shape, 1..6), placed).prop_map(|(shapes, placed)| {
            let (mut rows, mut at) = (Vec::new(), 0);
            for (shape, gap) in placed {
                at += gap;
                let (mut words, mut saved) = (1, 0);
                rows.push((at, Rule::offset(Kind::Sp, 8, 0)));
                for (distance, more, saves) in shape.get(&shapes) {
                    at += distance;
                    words = (words + more).max(0);
                    saved = match saves {
                        0 => words,
                        1 => 0,
                        2 => words + 1,
                        _ => saved,
                    };
                    rows.push((at, Rule::offset(Kind::Sp, 8 * words, 8 * saved)));
                }
                at += 1;
            }
            rows.retain(|(at, _)| *at < PAGE_TEXT_BYTES);
            rows
        })
    }

    #[test]
    fn a_page_without_rows_knows_nothing() {
        check(&[]).expect("equal");
    }

    #[test]
    fn rows_before_the_page_hold_at_its_beginning() {
        let mut page = PageRows::new(0x2_0000);
        page.push(0x1_fff0, rule(1));
        page.push(0x1_fff8, rule(2));
        page.push(0x2_0010, rule(3));
        page.push(0x3_0000, rule(4));
        let bytes = page.encode();
        assert_eq!(find_rule(&OwnPage(&bytes), 0x2_0000), rule(2));
        assert_eq!(find_rule(&OwnPage(&bytes), 0x2_ffff), rule(3));
    }

    #[test]
    fn equal_neighbours_are_one_row() {
        let mut page = PageRows::new(0);
        for (at, number) in [(0, 1), (8, 1), (16, 2), (16, 1), (24, 3)] {
            page.push(at, rule(number));
        }
        assert_eq!(page.len(), 2);
    }

    #[test]
    fn rules_beyond_the_dictionary_are_unsupported_not_wrong() {
        let mut page = PageRows::new(0);
        for number in 0..400 {
            page.push(2 * number, rule(number as i64 % 300 + 1));
        }
        let bytes = page.encode();
        for number in 0..400 {
            let found = find_rule(&OwnPage(&bytes), 2 * number);
            assert!([rule(number as i64 % 300 + 1), Rule::UNSUPPORTED].contains(&found));
        }
        assert_eq!(find_rule(&OwnPage(&bytes), 0), rule(1), "the frequent ones have a number");
    }

    #[test]
    fn a_row_for_every_byte_is_refused_as_a_whole() {
        let mut page = PageRows::new(0);
        for at in 0..PAGE_TEXT_BYTES {
            page.push(at, rule(at as i64 % 3 * 5 + 1));
        }
        let bytes = page.encode();
        assert!(bytes.len() < 1000);
        assert_eq!(find_rule(&OwnPage(&bytes), 0x1234), Rule::UNSUPPORTED);
    }

    #[test]
    fn folding_does_not_take_the_place_of_rules_that_fit() {
        let mut page = PageRows::new(0);
        let mut rows = Vec::new();
        // 230 rules, and beside them 60 runs that would be worth a rule each.
        for number in 0..230_u64 {
            rows.push((number, rule(300 + number as i64)));
        }
        for number in 0..600_u64 {
            let at = 0x200 + number * 64;
            let gap = 1 + number % 60 % 8;
            let words = 1 + number as i64 % 60 / 8;
            for step in 0..3 {
                rows.push((at + gap * step, rule(words + step as i64)));
            }
            rows.push((at + 40, rule(20)));
        }
        for (at, rule) in &rows {
            page.push(*at, *rule);
        }
        let bytes = page.encode();
        for (at, rule) in rows {
            assert_eq!(find_rule(&OwnPage(&bytes), at), rule);
        }
        let unfolded = ROWS_AT as usize + 2 * page.len() + 4 * 230;
        assert!(bytes.len() < unfolded, "but it does fold");
    }

    #[test]
    fn a_row_for_every_byte_of_256_is_found() {
        let rows: Vec<_> =
            (0..300).map(|at| (at, rule(at as i64 % 100 + 1 + at as i64 % 2 * 100))).collect();
        check(&rows).expect("equal");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn folded_or_not_every_address_has_the_same_rule(rows in functions()) {
            check(&rows)?;
        }

        #[test]
        fn every_address_finds_the_last_row_at_or_before_it(
            rows in prop::collection::btree_map(0_u64..PAGE_TEXT_BYTES, 1_i64..40, 0..600),
        ) {
            let rows: Vec<_> = rows.into_iter().map(|(at, number)| (at, rule(number))).collect();
            check(&rows)?;
        }
    }
}

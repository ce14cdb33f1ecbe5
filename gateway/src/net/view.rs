//! The numbers, hence the addresses, by which one instance knows the members
//! of its networks. A number keeps its meaning for the life of the instance,
//! as long as there are numbers.

use std::collections::BTreeMap;

use super::Member;

/// The members that one instance knows, by number.
#[derive(Debug, Default)]
pub(crate) struct View {
    numbers: BTreeMap<Member, u16>,
    members: BTreeMap<u16, Member>,
    last: u16,
}

impl View {
    /// The number of a member; a new one if it has none. `None` if all 65,535
    /// are in use.
    pub(crate) fn number(&mut self, member: Member) -> Option<u16> {
        if let Some(number) = self.numbers.get(&member) {
            return Some(*number);
        }
        let after = self.last.checked_add(1).unwrap_or(1);
        let number = (after..=u16::MAX)
            .chain(1..after)
            .find(|number| !self.members.contains_key(number))?;
        self.last = number;
        self.numbers.insert(member, number);
        self.members.insert(number, member);
        Some(number)
    }

    /// Who has a number.
    pub(crate) fn member(&self, number: u16) -> Option<Member> {
        self.members.get(&number).copied()
    }

    /// Forgets a member that will not come again: its number becomes free.
    pub(crate) fn forget(&mut self, member: Member) {
        if let Some(number) = self.numbers.remove(&member) {
            self.members.remove(&number);
        }
    }
}

#[cfg(test)]
mod tests {
    use unicell_gateway_api::id::InstanceId;

    use super::*;

    #[test]
    fn numbers_are_kept_and_come_again_last() {
        let member = |number: u32| {
            let [a, b, c, d] = number.to_be_bytes();
            Member::Instance(InstanceId::new([0, 0, a, b, c, d]))
        };
        let mut view = View::default();
        for number in 1..=u32::from(u16::MAX) {
            assert_eq!(view.number(member(number)).map(u32::from), Some(number));
        }
        assert_eq!(view.number(member(70_000)), None);
        assert_eq!(view.number(member(7)), Some(7));
        view.forget(member(9));
        assert_eq!(view.member(9), None);
        assert_eq!(view.number(member(70_000)), Some(9));
        assert_eq!(view.member(9), Some(member(70_000)));
    }
}

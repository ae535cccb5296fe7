//! How many requests of a route may go to another backend after one has failed.

use everyhop_plan::Retries;
use everyhop_running::retries::RetriesRun;

#[test]
fn requests_that_have_ended_are_no_reason_for_others_to_go_again() {
    let it = RetriesRun::new(&Retries { attempts: 2, on: vec![503], per_try_s: None, budget_percent: 20 }, None);
    let ended: Vec<_> = (0..100).map(|_| it.begin()).collect();
    assert_eq!(it.under_way(), 100);
    drop(ended);
    assert_eq!(it.under_way(), 0);
    let _one = it.begin();
    let again: Vec<_> = (0..20).filter_map(|_| it.again()).collect();
    assert_eq!((it.under_way(), again.len(), it.counted()), (1, 3, (3, 17)));
}

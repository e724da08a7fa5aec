//! Background jobs.

use satellite_core::time::{IsoTime, MINUTE, Timestamp};

use super::super::Store;
use super::super::records::{JobEnd, JobRun};
use super::{NOW, each};

fn end(holder: &str, started: Timestamp) -> JobEnd {
    JobEnd {
        name: "sweep".to_owned(),
        holder: holder.to_owned(),
        run: JobRun {
            started_at: IsoTime(started),
            ended_at: IsoTime(started.after(5)),
            failed: holder == "c",
            message: format!("by {holder}"),
        },
        next_at: started.after(MINUTE),
    }
}

#[tokio::test]
async fn a_job_is_run_by_one_at_a_time_and_not_before_it_is_due() {
    each(async |store| {
        let begin = |holder: &str, now: Timestamp| {
            store.begin_job("sweep".to_owned(), holder.to_owned(), now, now.after(10 * MINUTE))
        };
        assert!(!store.ask_job("sweep".to_owned(), NOW).await.unwrap(), "nobody knows it");
        assert!(begin("a", NOW).await.unwrap(), "one that never ran is due");
        assert!(!begin("b", NOW).await.unwrap(), "it is under way");
        assert!(!store.end_job(end("b", NOW)).await.unwrap(), "b does not run it");
        assert!(store.end_job(end("a", NOW)).await.unwrap());
        assert!(!store.end_job(end("a", NOW)).await.unwrap(), "it ends once");
        let soon = NOW.after(MINUTE - 1);
        assert!(!begin("b", soon).await.unwrap(), "it is not due");
        let [job] = &store.jobs().await.unwrap()[..] else { panic!("one job") };
        assert_eq!((&job.last, job.next_at.0), (&Some(end("a", NOW).run), NOW.after(MINUTE)));
        assert_eq!((&job.lease_holder, job.leased_until), (&None, None));

        // Asked for, it is due at once; so it is if it is asked for while it runs.
        assert!(store.ask_job("sweep".to_owned(), soon).await.unwrap());
        assert!(begin("b", soon).await.unwrap());
        let later = soon.after(1);
        assert!(store.ask_job("sweep".to_owned(), later).await.unwrap());
        assert!(store.end_job(end("b", soon)).await.unwrap());
        assert!(begin("c", later).await.unwrap());
        assert_eq!(store.jobs().await.unwrap()[0].lease_holder.as_deref(), Some("c"));

        // Whoever died in it is followed; what it says after all does not count.
        let expired = later.after(10 * MINUTE);
        assert!(!begin("d", Timestamp(expired.0 - 1)).await.unwrap());
        assert!(begin("d", expired).await.unwrap());
        assert!(!store.end_job(end("c", later)).await.unwrap());
        assert_eq!(store.jobs().await.unwrap()[0].last, Some(end("b", soon).run));
    })
    .await;
}

import { Suspense } from "react";
import { setTimeout as pause } from "node:timers/promises";
import { Bar } from "@/components/bar";
import { Ticks } from "@/components/ticks";
import { requireUser } from "@/lib/vestibule";

export default async function Stream() {
  const user = await requireUser("/stream");
  return (
    <>
      <Bar user={user} />
      <main>
        <h1>Tides</h1>
        <div className="columns">
          <section className="card" aria-labelledby="table">
            <h2 id="table">Tide table</h2>
            <Suspense fallback={<p data-testid="waiting">Asking the gauge …</p>}>
              <Table />
            </Suspense>
          </section>
          <section className="card" aria-labelledby="gauge">
            <h2 id="gauge">Gauge, live</h2>
            <Ticks />
          </section>
        </div>
      </main>
    </>
  );
}

async function Table() {
  await pause(1_500); // the gauge is slow
  return (
    <table data-testid="table">
      <thead>
        <tr><th scope="col">Time</th><th scope="col">Height</th></tr>
      </thead>
      <tbody>
        <tr><td>05:12</td><td>4.1 m</td></tr>
        <tr><td>11:31</td><td>0.7 m</td></tr>
        <tr><td>17:40</td><td>4.3 m</td></tr>
      </tbody>
    </table>
  );
}

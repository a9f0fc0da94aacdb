// How the page looks, in light, in dark and on paper.

export const style = `
:root { --text: #172033; --soft: #5b677a; --line: #e3e8ef; --panel: #fff; --ground: #f4f6fa; --good: #0b8f6a; --bad: #c62a3f;
  --goodground: #e6f6f0; --badground: #fdebee; }
@media screen and (prefers-color-scheme: dark) { :root { --text: #e8edf5; --soft: #98a5b8; --line: #2a3547; --panel: #141c2b; --ground: #0b111c;
  --good: #2dd4a0; --bad: #ff7285; --goodground: #10302b; --badground: #3a1722; } }
* { box-sizing: border-box; }
html { scroll-behavior: smooth; }
body { margin: 0; background: var(--ground); color: var(--text); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
header { padding: 44px max(20px, calc((100vw - 1400px) / 2 + 20px)) 92px; color: #fff; background: linear-gradient(120deg, #062b33 0%, #0a4f57 45%, #0b7a68 100%); }
header h1 { margin: 0; font-size: clamp(30px, 5vw, 48px); letter-spacing: -0.03em; line-height: 1.1; }
header h1 span { font-weight: 300; opacity: 0.8; }
header p { margin: 14px 0 0; display: flex; flex-wrap: wrap; gap: 6px 8px; }
header p span { font-size: 13px; padding: 3px 11px; border-radius: 99px; background: rgba(255, 255, 255, 0.13); overflow-wrap: anywhere; }
main { max-width: 1400px; margin: -60px auto 0; padding: 0 20px; }
.tiles { display: grid; gap: 14px; grid-template-columns: repeat(auto-fill, minmax(min(100%, 232px), 1fr)); }
.tile, .card { background: var(--panel); border: 1px solid var(--line); border-radius: 16px; box-shadow: 0 1px 2px rgba(16, 24, 40, 0.05), 0 8px 24px -14px rgba(16, 24, 40, 0.22); }
.tile { padding: 16px 18px; display: flex; flex-direction: column; min-width: 0; border-top: 4px solid var(--good); }
.tile.missed { border-top-color: var(--bad); }
.tile b { font-size: 27px; line-height: 1.2; letter-spacing: -0.02em; font-variant-numeric: tabular-nums; }
.tile span { font-weight: 600; overflow-wrap: anywhere; }
.tile small { color: var(--soft); flex: 1; margin: 2px 0 10px; overflow-wrap: anywhere; }
.tile.verdict b, .tile em { text-wrap: balance; } .tile em { align-self: flex-start; font-style: normal; font-size: 12.5px; font-weight: 600; padding: 2px 10px; border-radius: 99px; color: var(--good); background: var(--goodground); }
.tile.missed em { color: var(--bad); background: var(--badground); }
.tile.verdict { flex-direction: row; align-items: center; gap: 16px; border-top: 1px solid var(--line); }
.tile.verdict span { display: block; color: var(--soft); }
.tile svg { width: 92px; flex: none; }
.tile circle { fill: none; stroke-width: 11; }
.track { stroke: var(--line); } .track.missed { stroke: var(--bad); } .arc { stroke: var(--good); }
.tile text { fill: var(--text); font-size: 21px; font-weight: 700; text-anchor: middle; }
nav { display: flex; flex-wrap: wrap; gap: 7px; margin: 26px 0 0; }
nav button { font: inherit; font-size: 13px; cursor: pointer; color: var(--text); background: var(--panel); border: 1px solid var(--line); border-radius: 99px; padding: 4px 12px 4px 9px; }
nav button::before { content: ""; display: inline-block; width: 11px; height: 11px; border-radius: 4px; margin-right: 7px; background: var(--colour, var(--soft)); }
nav button.ours { font-weight: 700; }
nav button[aria-pressed="false"] { opacity: 0.45; text-decoration: line-through; }
nav button:focus-visible, select:focus-visible, summary:focus-visible, .scroll:focus-visible { outline: 2px solid var(--good); outline-offset: 2px; }
section { margin-top: 44px; }
h2 { margin: 0; font-size: 26px; letter-spacing: -0.02em; }
section > p { margin: 4px 0 16px; color: var(--soft); max-width: 110ch; }
#bounds .card, #data .card { margin-top: 14px; }
.cards { display: grid; gap: 16px; grid-template-columns: repeat(6, minmax(0, 1fr)); align-items: start; }
.card { padding: 16px 18px; min-width: 0; grid-column: span 3; }
.card.third { grid-column: span 2; } .card.whole { grid-column: 1 / -1; }
.card h3 { margin: 0 0 10px; font-size: 16px; }
.card h3 label { display: flex; flex-wrap: wrap; gap: 8px; align-items: center; }
select { font: inherit; font-weight: 400; max-width: 100%; min-width: 0; color: var(--text); background: var(--ground); border: 1px solid var(--line); border-radius: 8px; padding: 5px 8px; }
[data-chart] { width: 100%; min-height: 60px; overflow: hidden; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: 7px 14px 7px 0; border-bottom: 1px solid var(--line); min-width: 84px; }
thead th { color: var(--soft); font-weight: 600; white-space: nowrap; }
tbody th { font-weight: 600; min-width: 150px; }
tbody tr:last-child > * { border-bottom: 0; }
td small { color: var(--soft); display: block; white-space: nowrap; }
.yes { color: var(--good); font-weight: 600; white-space: nowrap; } .no { color: var(--bad); font-weight: 600; white-space: nowrap; }
summary { cursor: pointer; padding: 7px 0; font-weight: 600; }
footer { max-width: 1400px; margin: 40px auto; padding: 0 20px; color: var(--soft); font-size: 13px; }
@media (max-width: 960px) { .card, .card.third { grid-column: 1 / -1; } .card { padding: 14px; } main { padding: 0 12px; } header { padding: 32px 16px 84px; } footer { padding: 0 14px; } }
@media (max-width: 460px) { .tiles { grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 9px; } .tile.verdict { grid-column: 1 / -1; } .tile { padding: 12px; } .tile b { font-size: 20px; } .tile.verdict b { font-size: 27px; } }
@media print { body { background: #fff; font-size: 12px; } header { padding: 12px 0; color: #000; background: none; } header p span { border: 1px solid #ccc; }
  main { margin: 0; padding: 0; max-width: none; } nav { display: none; } .tile, .card { box-shadow: none; break-inside: avoid; }
  .cards { display: block; } .card { margin-bottom: 12px; } .scroll { overflow: visible; } table { font-size: 9px; } th, td { min-width: 0 !important; padding-right: 5px; } }
`;

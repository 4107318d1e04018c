import { expect, test } from 'vitest';
import { scheduleIn } from '../../src/report/schedule-words.ts';

test.each([
  ['30 2 * * *', 'tous les jours à 02:30', 'every day at 02:30'],
  ['0 3 * * 0', 'le dimanche à 03:00', 'every Sunday at 03:00'],
  ['0 3 * * 7', 'le dimanche à 03:00', 'every Sunday at 03:00'],
  ['0 4 * * 1-6', 'du lundi au samedi à 04:00', 'Monday to Saturday at 04:00'],
  ['0 4 * * mon-fri', 'du lundi au vendredi à 04:00', 'Monday to Friday at 04:00'],
  ['0 4 * * 1,4', 'le lundi et le jeudi à 04:00', 'every Monday and Thursday at 04:00'],
  ['0 4 * * 6-7', 'le samedi et le dimanche à 04:00', 'every Saturday and Sunday at 04:00'],
  ['0 4 * * */2', 'le mardi, le jeudi, le samedi et le dimanche à 04:00', 'every Tuesday, Thursday, Saturday and Sunday at 04:00'],
  ['30 2,14 * * *', 'tous les jours à 02:30 et 14:30', 'every day at 02:30 and 14:30'],
  ['0 * * * *', 'toutes les heures', 'every hour'],
  ['@hourly', 'toutes les heures', 'every hour'],
  ['15 * * * *', 'toutes les heures, à la minute 15', 'every hour, at minute 15'],
  ['5,35 * * * *', 'toutes les heures, aux minutes 5 et 35', 'every hour, at minutes 5 and 35'],
  ['*/15 * * * *', 'toutes les 15 minutes', 'every 15 minutes'],
  ['* * * * *', 'toutes les minutes', 'every minute'],
  ['15 */4 * * *', 'toutes les 4 heures à partir de 00:15', 'every 4 hours from 00:15 on'],
  ['0 8-20 * * 1-5', 'du lundi au vendredi, toutes les heures de 08:00 à 20:00', 'Monday to Friday, every hour from 08:00 to 20:00'],
  ['*/30 8-20 * * *', 'tous les jours, toutes les 30 minutes de 08:00 à 20:30', 'every day, every 30 minutes from 08:00 to 20:30'],
  ['30 2 1 * *', 'le 1er du mois à 02:30', 'on the 1st of the month at 02:30'],
  ['30 2 1,15 * *', 'les 1er et 15 du mois à 02:30', 'on the 1st and 15th of the month at 02:30'],
  ['30 2 22 jan,jul *', 'le 22 du mois à 02:30, en janvier et juillet', 'on the 22nd of the month at 02:30, in January and July'],
  ...['30 2 1 * 1', '30 2 L * *', '0 3 * * 1#2', '1-59/7 3 * * *', '30 2 * *', 'nonsense'].map((expression) => [
    ...[expression, 'selon un calendrier particulier', 'by a schedule of its own'],
  ]),
] as [string, string, string][])('%s - %s - %s', (expression, french, english) => {
  expect([scheduleIn('fr', expression), scheduleIn('en', expression)]).toEqual([french, english]);
});

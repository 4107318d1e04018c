-- What modules and agencies leave behind in a shop's database beside tables.
CREATE SEQUENCE ps_erp_export_seq START WITH 1000 INCREMENT BY 1 CACHE 20;
DO NEXTVAL(ps_erp_export_seq);

CREATE VIEW ps_v_best_sales AS
  SELECT d.product_id AS id_product, SUM(d.product_quantity) AS sold, SUM(d.total_price_tax_excl) AS turnover
  FROM ps_order_detail d JOIN ps_orders o ON o.id_order = d.id_order AND o.valid = 1
  GROUP BY d.product_id;

CREATE VIEW ps_v_best_sales_named AS
  SELECT b.id_product, l.name, b.sold FROM ps_v_best_sales b JOIN ps_product_lang l ON l.id_product = b.id_product AND l.id_lang = 1;

DELIMITER //

CREATE TRIGGER ps_stock_no_negative BEFORE UPDATE ON ps_stock_available FOR EACH ROW
BEGIN
  -- l'agence : jamais de stock négatif
  IF NEW.quantity < -1000 THEN SET NEW.quantity = -1000; END IF;
END//

CREATE TRIGGER ps_order_to_erp AFTER INSERT ON ps_orders FOR EACH ROW
  INSERT INTO ps_erp_export_queue (payload, sent, date_add)
  VALUES (JSON_OBJECT('order', NEW.id_order, 'paid', NEW.total_paid), 0, NEW.date_add)//

CREATE PROCEDURE ps_purge_connections(IN before_date DATETIME)
  COMMENT 'supprime les visites anciennes'
BEGIN
  DELETE p FROM ps_connections_page p JOIN ps_connections c USING (id_connections) WHERE c.date_add < before_date;
  DELETE FROM ps_connections WHERE date_add < before_date;
END//

CREATE FUNCTION ps_price_with_tax(price DECIMAL(20,6), rate DECIMAL(10,3)) RETURNS DECIMAL(20,6) DETERMINISTIC
  RETURN ROUND(price * (1 + rate / 100), 6)//

CREATE EVENT ps_nightly_purge ON SCHEDULE EVERY 1 DAY STARTS '2026-01-01 04:10:00'
  ON COMPLETION PRESERVE DISABLE COMMENT 'visites de plus d''un an' DO
  CALL ps_purge_connections(NOW() - INTERVAL 1 YEAR)//

DELIMITER ;

-- The main tables of a PrestaShop 8 shop, as its installer makes them (columns, keys and types are the real ones; a few columns
-- that hold nothing of interest are left out), and tables of modules that do what core never does: MyISAM, FULLTEXT, FLOAT,
-- foreign keys, blobs, a generated column, no primary key.
CREATE TABLE ps_configuration (
  id_configuration int(10) unsigned NOT NULL AUTO_INCREMENT,
  id_shop_group int(11) unsigned DEFAULT NULL,
  id_shop int(11) unsigned DEFAULT NULL,
  name varchar(254) NOT NULL,
  value text DEFAULT NULL,
  date_add datetime NOT NULL,
  date_upd datetime NOT NULL,
  PRIMARY KEY (id_configuration),
  KEY name (name),
  KEY id_shop (id_shop),
  KEY id_shop_group (id_shop_group)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE ps_shop (
  id_shop int(11) NOT NULL AUTO_INCREMENT,
  id_shop_group int(11) NOT NULL,
  name varchar(64) NOT NULL,
  color varchar(50) NOT NULL DEFAULT '',
  id_category int(11) NOT NULL,
  theme_name varchar(255) NOT NULL,
  active tinyint(1) NOT NULL DEFAULT 1,
  deleted tinyint(1) NOT NULL DEFAULT 0,
  PRIMARY KEY (id_shop),
  KEY IDX_CBDFBB9EF5C9E40 (id_shop_group),
  KEY IDX_CBDFBB9E5697F554 (id_category)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE ps_shop_url (
  id_shop_url int(11) unsigned NOT NULL AUTO_INCREMENT,
  id_shop int(11) NOT NULL,
  domain varchar(150) NOT NULL,
  domain_ssl varchar(150) NOT NULL,
  physical_uri varchar(64) NOT NULL,
  virtual_uri varchar(64) NOT NULL,
  main tinyint(1) NOT NULL,
  active tinyint(1) NOT NULL,
  PRIMARY KEY (id_shop_url),
  UNIQUE KEY full_shop_url (domain,physical_uri,virtual_uri),
  UNIQUE KEY full_shop_url_ssl (domain_ssl,physical_uri,virtual_uri),
  KEY id_shop (id_shop,main)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE ps_lang (
  id_lang int(11) NOT NULL AUTO_INCREMENT,
  name varchar(32) NOT NULL,
  active tinyint(1) NOT NULL,
  iso_code varchar(2) NOT NULL,
  language_code varchar(5) NOT NULL,
  locale varchar(5) NOT NULL,
  date_format_lite varchar(32) NOT NULL,
  date_format_full varchar(32) NOT NULL,
  is_rtl tinyint(1) NOT NULL,
  PRIMARY KEY (id_lang)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE ps_currency (
  id_currency int(10) unsigned NOT NULL AUTO_INCREMENT,
  name varchar(64) NOT NULL,
  iso_code varchar(3) NOT NULL DEFAULT '0',
  numeric_iso_code varchar(3) DEFAULT NULL,
  `precision` int(2) NOT NULL DEFAULT 6,
  conversion_rate decimal(13,6) NOT NULL,
  deleted tinyint(1) unsigned NOT NULL DEFAULT 0,
  active tinyint(1) unsigned NOT NULL DEFAULT 1,
  PRIMARY KEY (id_currency),
  KEY currency_iso_code (iso_code)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE ps_employee (
  id_employee int(10) unsigned NOT NULL AUTO_INCREMENT,
  id_profile int(10) unsigned NOT NULL,
  id_lang int(10) unsigned NOT NULL DEFAULT 0,
  lastname varchar(255) NOT NULL,
  firstname varchar(255) NOT NULL,
  email varchar(255) NOT NULL,
  passwd varchar(255) NOT NULL,
  last_passwd_gen timestamp NOT NULL DEFAULT current_timestamp(),
  bo_color varchar(32) DEFAULT NULL,
  active tinyint(1) unsigned NOT NULL DEFAULT 0,
  last_connection_date date DEFAULT NULL,
  PRIMARY KEY (id_employee),
  KEY employee_login (email,passwd),
  KEY id_profile (id_profile)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE ps_category (
  id_category int(10) unsigned NOT NULL AUTO_INCREMENT,
  id_parent int(10) unsigned NOT NULL,
  id_shop_default int(10) unsigned NOT NULL DEFAULT 1,
  level_depth tinyint(3) unsigned NOT NULL DEFAULT 0,
  nleft int(10) unsigned NOT NULL DEFAULT 0,
  nright int(10) unsigned NOT NULL DEFAULT 0,
  active tinyint(1) unsigned NOT NULL DEFAULT 0,
  date_add datetime NOT NULL,
  date_upd datetime NOT NULL,
  position int(10) unsigned NOT NULL DEFAULT 0,
  is_root_category tinyint(1) NOT NULL DEFAULT 0,
  PRIMARY KEY (id_category),
  KEY category_parent (id_parent),
  KEY nleftrightactive (nleft,nright,active),
  KEY level_depth (level_depth),
  KEY activenleft (active,nleft),
  KEY activenright (active,nright)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE ps_category_lang (
  id_category int(10) unsigned NOT NULL,
  id_shop int(11) unsigned NOT NULL DEFAULT 1,
  id_lang int(10) unsigned NOT NULL,
  name varchar(128) NOT NULL,
  description text DEFAULT NULL,
  link_rewrite varchar(128) NOT NULL,
  meta_title varchar(255) DEFAULT NULL,
  meta_description varchar(512) DEFAULT NULL,
  PRIMARY KEY (id_category,id_shop,id_lang),
  KEY category_name (name)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE ps_category_product (
  id_category int(10) unsigned NOT NULL,
  id_product int(10) unsigned NOT NULL,
  position int(10) unsigned NOT NULL DEFAULT 0,
  PRIMARY KEY (id_category,id_product),
  KEY id_product (id_product),
  KEY id_category (id_category,position)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE ps_product (
  id_product int(10) unsigned NOT NULL AUTO_INCREMENT,
  id_supplier int(10) unsigned DEFAULT NULL,
  id_manufacturer int(10) unsigned DEFAULT NULL,
  id_category_default int(10) unsigned DEFAULT NULL,
  id_shop_default int(10) unsigned NOT NULL DEFAULT 1,
  id_tax_rules_group int(11) unsigned NOT NULL,
  on_sale tinyint(1) unsigned NOT NULL DEFAULT 0,
  ean13 varchar(13) DEFAULT NULL,
  ecotax decimal(17,6) NOT NULL DEFAULT 0.000000,
  quantity int(10) NOT NULL DEFAULT 0,
  minimal_quantity int(10) unsigned NOT NULL DEFAULT 1,
  price decimal(20,6) NOT NULL DEFAULT 0.000000,
  wholesale_price decimal(20,6) NOT NULL DEFAULT 0.000000,
  reference varchar(64) DEFAULT NULL,
  width decimal(20,6) NOT NULL DEFAULT 0.000000,
  height decimal(20,6) NOT NULL DEFAULT 0.000000,
  depth decimal(20,6) NOT NULL DEFAULT 0.000000,
  weight decimal(20,6) NOT NULL DEFAULT 0.000000,
  out_of_stock int(10) unsigned NOT NULL DEFAULT 2,
  active tinyint(1) unsigned NOT NULL DEFAULT 0,
  redirect_type enum('','404','301-product','302-product','301-category','302-category') NOT NULL DEFAULT '404',
  available_date date DEFAULT NULL,
  `condition` enum('new','used','refurbished') NOT NULL DEFAULT 'new',
  visibility enum('both','catalog','search','none') NOT NULL DEFAULT 'both',
  cache_default_attribute int(10) unsigned DEFAULT NULL,
  date_add datetime NOT NULL,
  date_upd datetime NOT NULL,
  state int(11) unsigned NOT NULL DEFAULT 1,
  product_type enum('standard','pack','virtual','combinations','') NOT NULL DEFAULT '',
  PRIMARY KEY (id_product),
  KEY reference_idx (reference),
  KEY product_supplier (id_supplier),
  KEY product_manufacturer (id_manufacturer,id_product),
  KEY id_category_default (id_category_default),
  KEY date_add (date_add),
  KEY state (state,date_upd)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE ps_product_shop (
  id_product int(10) unsigned NOT NULL,
  id_shop int(10) unsigned NOT NULL,
  id_category_default int(10) unsigned DEFAULT NULL,
  id_tax_rules_group int(11) unsigned NOT NULL,
  price decimal(20,6) NOT NULL DEFAULT 0.000000,
  wholesale_price decimal(20,6) NOT NULL DEFAULT 0.000000,
  active tinyint(1) unsigned NOT NULL DEFAULT 0,
  visibility enum('both','catalog','search','none') NOT NULL DEFAULT 'both',
  date_add datetime NOT NULL,
  date_upd datetime NOT NULL,
  PRIMARY KEY (id_product,id_shop),
  KEY id_category_default (id_category_default),
  KEY date_add (date_add,active,visibility)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE ps_product_lang (
  id_product int(10) unsigned NOT NULL,
  id_shop int(11) unsigned NOT NULL DEFAULT 1,
  id_lang int(10) unsigned NOT NULL,
  description text DEFAULT NULL,
  description_short text DEFAULT NULL,
  link_rewrite varchar(128) NOT NULL,
  meta_description varchar(512) DEFAULT NULL,
  meta_title varchar(128) DEFAULT NULL,
  name varchar(128) NOT NULL,
  available_now varchar(255) DEFAULT NULL,
  delivery_in_stock varchar(255) DEFAULT NULL,
  PRIMARY KEY (id_product,id_shop,id_lang),
  KEY id_lang (id_lang),
  KEY name (name)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE ps_product_attribute (
  id_product_attribute int(10) unsigned NOT NULL AUTO_INCREMENT,
  id_product int(10) unsigned NOT NULL,
  reference varchar(64) DEFAULT NULL,
  ean13 varchar(13) DEFAULT NULL,
  price decimal(20,6) NOT NULL DEFAULT 0.000000,
  weight decimal(20,6) NOT NULL DEFAULT 0.000000,
  default_on tinyint(1) unsigned DEFAULT NULL,
  minimal_quantity int(10) unsigned NOT NULL DEFAULT 1,
  available_date date DEFAULT NULL,
  PRIMARY KEY (id_product_attribute),
  UNIQUE KEY product_default (id_product,default_on),
  KEY product_attribute_product (id_product),
  KEY reference (reference)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE ps_stock_available (
  id_stock_available int(11) unsigned NOT NULL AUTO_INCREMENT,
  id_product int(11) unsigned NOT NULL,
  id_product_attribute int(11) unsigned NOT NULL,
  id_shop int(11) unsigned NOT NULL,
  id_shop_group int(11) unsigned NOT NULL,
  quantity int(10) NOT NULL DEFAULT 0,
  physical_quantity int(11) NOT NULL DEFAULT 0,
  reserved_quantity int(11) NOT NULL DEFAULT 0,
  depends_on_stock tinyint(1) unsigned NOT NULL DEFAULT 0,
  out_of_stock tinyint(1) unsigned NOT NULL DEFAULT 0,
  location varchar(255) NOT NULL DEFAULT '',
  PRIMARY KEY (id_stock_available),
  UNIQUE KEY product_sqlstock (id_product,id_product_attribute,id_shop,id_shop_group),
  KEY id_shop (id_shop),
  KEY id_product (id_product)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE ps_image (
  id_image int(10) unsigned NOT NULL AUTO_INCREMENT,
  id_product int(10) unsigned NOT NULL,
  position smallint(2) unsigned NOT NULL DEFAULT 0,
  cover tinyint(1) unsigned DEFAULT NULL,
  PRIMARY KEY (id_image),
  UNIQUE KEY id_product_cover (id_product,cover),
  UNIQUE KEY idx_product_image (id_image,id_product,cover),
  KEY image_product (id_product)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE ps_image_lang (
  id_image int(10) unsigned NOT NULL,
  id_lang int(10) unsigned NOT NULL,
  legend varchar(128) DEFAULT NULL,
  PRIMARY KEY (id_image,id_lang),
  KEY id_image (id_image)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE ps_specific_price (
  id_specific_price int(10) unsigned NOT NULL AUTO_INCREMENT,
  id_product int(10) unsigned NOT NULL,
  id_group int(10) unsigned NOT NULL,
  price decimal(20,6) NOT NULL,
  from_quantity mediumint(8) unsigned NOT NULL,
  reduction decimal(20,6) NOT NULL,
  reduction_tax tinyint(1) NOT NULL DEFAULT 1,
  reduction_type enum('amount','percentage') NOT NULL,
  `from` datetime NOT NULL,
  `to` datetime NOT NULL,
  PRIMARY KEY (id_specific_price),
  UNIQUE KEY id_product_2 (id_product,id_group,from_quantity,`from`,`to`),
  KEY from_quantity (from_quantity)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE ps_search_word (
  id_word int(10) unsigned NOT NULL AUTO_INCREMENT,
  id_shop int(11) unsigned NOT NULL DEFAULT 1,
  id_lang int(10) unsigned NOT NULL,
  word varchar(30) NOT NULL,
  PRIMARY KEY (id_word),
  UNIQUE KEY id_lang (id_lang,id_shop,word)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE ps_search_index (
  id_product int(11) unsigned NOT NULL,
  id_word int(11) unsigned NOT NULL,
  weight smallint(4) unsigned NOT NULL DEFAULT 1,
  PRIMARY KEY (id_word,id_product),
  KEY id_product (id_product,weight)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE ps_customer (
  id_customer int(10) unsigned NOT NULL AUTO_INCREMENT,
  id_shop_group int(11) unsigned NOT NULL DEFAULT 1,
  id_shop int(11) unsigned NOT NULL DEFAULT 1,
  id_gender int(10) unsigned NOT NULL,
  id_default_group int(10) unsigned NOT NULL DEFAULT 1,
  id_lang int(10) unsigned DEFAULT NULL,
  firstname varchar(255) NOT NULL,
  lastname varchar(255) NOT NULL,
  email varchar(255) NOT NULL,
  passwd varchar(255) NOT NULL,
  last_passwd_gen timestamp NOT NULL DEFAULT current_timestamp(),
  birthday date DEFAULT NULL,
  newsletter tinyint(1) unsigned NOT NULL DEFAULT 0,
  secure_key varchar(32) NOT NULL DEFAULT '-1',
  note text DEFAULT NULL,
  active tinyint(1) unsigned NOT NULL DEFAULT 0,
  is_guest tinyint(1) NOT NULL DEFAULT 0,
  deleted tinyint(1) NOT NULL DEFAULT 0,
  date_add datetime NOT NULL,
  date_upd datetime NOT NULL,
  PRIMARY KEY (id_customer),
  KEY customer_email (email),
  KEY customer_login (email,passwd),
  KEY id_gender (id_gender),
  KEY id_shop (id_shop,date_add)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE ps_address (
  id_address int(10) unsigned NOT NULL AUTO_INCREMENT,
  id_country int(10) unsigned NOT NULL,
  id_customer int(10) unsigned NOT NULL DEFAULT 0,
  alias varchar(32) NOT NULL,
  company varchar(255) DEFAULT NULL,
  lastname varchar(255) NOT NULL,
  firstname varchar(255) NOT NULL,
  address1 varchar(128) NOT NULL,
  address2 varchar(128) DEFAULT NULL,
  postcode varchar(12) DEFAULT NULL,
  city varchar(64) NOT NULL,
  phone varchar(32) DEFAULT NULL,
  date_add datetime NOT NULL,
  date_upd datetime NOT NULL,
  active tinyint(1) unsigned NOT NULL DEFAULT 1,
  deleted tinyint(1) unsigned NOT NULL DEFAULT 0,
  PRIMARY KEY (id_address),
  KEY address_customer (id_customer),
  KEY id_country (id_country)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE ps_cart (
  id_cart int(10) unsigned NOT NULL AUTO_INCREMENT,
  id_carrier int(10) unsigned NOT NULL,
  delivery_option text NOT NULL,
  id_lang int(10) unsigned NOT NULL,
  id_address_delivery int(10) unsigned NOT NULL,
  id_currency int(10) unsigned NOT NULL,
  id_customer int(10) unsigned NOT NULL,
  id_guest int(10) unsigned NOT NULL,
  secure_key varchar(32) NOT NULL DEFAULT '-1',
  checkout_session_data mediumtext DEFAULT NULL,
  date_add datetime NOT NULL,
  date_upd datetime NOT NULL,
  PRIMARY KEY (id_cart),
  KEY cart_customer (id_customer),
  KEY id_guest (id_guest),
  KEY id_shop (date_add)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE ps_cart_product (
  id_cart int(10) unsigned NOT NULL,
  id_product int(10) unsigned NOT NULL,
  id_address_delivery int(10) unsigned NOT NULL DEFAULT 0,
  id_product_attribute int(10) unsigned NOT NULL DEFAULT 0,
  id_customization int(10) unsigned NOT NULL DEFAULT 0,
  quantity int(10) unsigned NOT NULL DEFAULT 0,
  date_add datetime NOT NULL,
  PRIMARY KEY (id_cart,id_product,id_product_attribute,id_customization,id_address_delivery),
  KEY id_product_attribute (id_product_attribute),
  KEY id_cart_order (id_cart,date_add,id_product,id_product_attribute)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE ps_orders (
  id_order int(10) unsigned NOT NULL AUTO_INCREMENT,
  reference varchar(9) DEFAULT NULL,
  id_carrier int(10) unsigned NOT NULL,
  id_lang int(10) unsigned NOT NULL,
  id_customer int(10) unsigned NOT NULL,
  id_cart int(10) unsigned NOT NULL,
  id_currency int(10) unsigned NOT NULL,
  id_address_delivery int(10) unsigned NOT NULL,
  current_state int(10) unsigned NOT NULL,
  secure_key varchar(32) NOT NULL DEFAULT '-1',
  payment varchar(255) NOT NULL,
  conversion_rate decimal(13,6) NOT NULL DEFAULT 1.000000,
  module varchar(255) DEFAULT NULL,
  gift_message text DEFAULT NULL,
  total_discounts decimal(20,6) NOT NULL DEFAULT 0.000000,
  total_paid decimal(20,6) NOT NULL DEFAULT 0.000000,
  total_paid_tax_incl decimal(20,6) NOT NULL DEFAULT 0.000000,
  total_paid_tax_excl decimal(20,6) NOT NULL DEFAULT 0.000000,
  total_products decimal(20,6) NOT NULL DEFAULT 0.000000,
  total_shipping decimal(20,6) NOT NULL DEFAULT 0.000000,
  invoice_number int(10) unsigned NOT NULL DEFAULT 0,
  invoice_date datetime NOT NULL,
  delivery_date datetime DEFAULT NULL,
  valid int(1) unsigned NOT NULL DEFAULT 0,
  date_add datetime NOT NULL,
  date_upd datetime NOT NULL,
  PRIMARY KEY (id_order),
  KEY reference (reference),
  KEY id_customer (id_customer),
  KEY id_cart (id_cart),
  KEY invoice_number (invoice_number),
  KEY current_state (current_state),
  KEY date_add (date_add)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE ps_order_detail (
  id_order_detail int(10) unsigned NOT NULL AUTO_INCREMENT,
  id_order int(10) unsigned NOT NULL,
  product_id int(10) unsigned NOT NULL,
  product_attribute_id int(10) unsigned DEFAULT NULL,
  product_name text NOT NULL,
  product_quantity int(10) unsigned NOT NULL DEFAULT 0,
  product_price decimal(20,6) NOT NULL DEFAULT 0.000000,
  reduction_percent decimal(5,2) NOT NULL DEFAULT 0.00,
  product_ean13 varchar(13) DEFAULT NULL,
  product_reference varchar(64) DEFAULT NULL,
  product_weight decimal(20,6) NOT NULL,
  tax_rate decimal(10,3) NOT NULL DEFAULT 0.000,
  download_deadline datetime DEFAULT NULL,
  total_price_tax_incl decimal(20,6) NOT NULL DEFAULT 0.000000,
  total_price_tax_excl decimal(20,6) NOT NULL DEFAULT 0.000000,
  unit_price_tax_incl decimal(20,6) NOT NULL DEFAULT 0.000000,
  unit_price_tax_excl decimal(20,6) NOT NULL DEFAULT 0.000000,
  PRIMARY KEY (id_order_detail),
  KEY order_detail_order (id_order),
  KEY product_id (product_id,product_attribute_id),
  KEY id_order_id_order_detail (id_order,id_order_detail)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE ps_order_history (
  id_order_history int(10) unsigned NOT NULL AUTO_INCREMENT,
  id_employee int(10) unsigned NOT NULL,
  id_order int(10) unsigned NOT NULL,
  id_order_state int(10) unsigned NOT NULL,
  date_add datetime NOT NULL,
  PRIMARY KEY (id_order_history),
  KEY order_history_order (id_order),
  KEY id_employee (id_employee),
  KEY id_order_state (id_order_state)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE ps_order_payment (
  id_order_payment int(11) NOT NULL AUTO_INCREMENT,
  order_reference varchar(9) DEFAULT NULL,
  id_currency int(10) unsigned NOT NULL,
  amount decimal(20,6) NOT NULL,
  payment_method varchar(255) NOT NULL,
  conversion_rate decimal(13,6) NOT NULL DEFAULT 1.000000,
  transaction_id varchar(254) DEFAULT NULL,
  date_add datetime NOT NULL,
  PRIMARY KEY (id_order_payment),
  KEY order_reference (order_reference)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE ps_guest (
  id_guest int(10) unsigned NOT NULL AUTO_INCREMENT,
  id_operating_system int(10) unsigned DEFAULT NULL,
  id_web_browser int(10) unsigned DEFAULT NULL,
  id_customer int(10) unsigned DEFAULT NULL,
  javascript tinyint(1) DEFAULT 0,
  screen_resolution_x smallint(5) unsigned DEFAULT NULL,
  screen_resolution_y smallint(5) unsigned DEFAULT NULL,
  accept_language varchar(8) DEFAULT NULL,
  mobile_theme tinyint(1) NOT NULL DEFAULT 0,
  PRIMARY KEY (id_guest),
  KEY id_customer (id_customer),
  KEY id_operating_system (id_operating_system),
  KEY id_web_browser (id_web_browser)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE ps_connections (
  id_connections int(10) unsigned NOT NULL AUTO_INCREMENT,
  id_shop_group int(11) unsigned NOT NULL DEFAULT 1,
  id_shop int(11) unsigned NOT NULL DEFAULT 1,
  id_guest int(10) unsigned NOT NULL,
  id_page int(10) unsigned NOT NULL,
  ip_address bigint(20) DEFAULT NULL,
  date_add datetime NOT NULL,
  http_referer varchar(255) DEFAULT NULL,
  PRIMARY KEY (id_connections),
  KEY id_guest (id_guest),
  KEY date_add (date_add),
  KEY id_page (id_page)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE ps_connections_source (
  id_connections_source int(10) unsigned NOT NULL AUTO_INCREMENT,
  id_connections int(10) unsigned NOT NULL,
  http_referer varchar(255) DEFAULT NULL,
  request_uri varchar(255) DEFAULT NULL,
  keywords varchar(255) DEFAULT NULL,
  date_add datetime NOT NULL,
  PRIMARY KEY (id_connections_source),
  KEY connections (id_connections),
  KEY orderby (date_add),
  KEY http_referer (http_referer),
  KEY request_uri (request_uri)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE ps_connections_page (
  id_connections int(10) unsigned NOT NULL,
  id_page int(10) unsigned NOT NULL,
  time_start datetime NOT NULL,
  time_end datetime DEFAULT NULL,
  PRIMARY KEY (id_connections,id_page,time_start)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE ps_pagenotfound (
  id_pagenotfound int(10) unsigned NOT NULL AUTO_INCREMENT,
  request_uri varchar(256) NOT NULL,
  http_referer varchar(256) NOT NULL,
  date_add datetime NOT NULL,
  PRIMARY KEY (id_pagenotfound),
  KEY date_add (date_add)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE ps_log (
  id_log int(10) unsigned NOT NULL AUTO_INCREMENT,
  severity tinyint(1) NOT NULL,
  error_code int(11) DEFAULT NULL,
  message longtext NOT NULL,
  object_type varchar(32) DEFAULT NULL,
  object_id int(10) unsigned DEFAULT NULL,
  id_employee int(10) unsigned DEFAULT NULL,
  in_all_shops tinyint(1) unsigned NOT NULL DEFAULT 0,
  date_add datetime NOT NULL,
  date_upd datetime NOT NULL,
  PRIMARY KEY (id_log)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE ps_mail (
  id_mail int(11) unsigned NOT NULL AUTO_INCREMENT,
  recipient varchar(255) NOT NULL,
  template varchar(62) NOT NULL,
  subject varchar(255) NOT NULL,
  id_lang int(11) unsigned NOT NULL,
  date_add timestamp NOT NULL DEFAULT current_timestamp(),
  PRIMARY KEY (id_mail),
  KEY recipient (recipient(10))
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE ps_customer_message (
  id_customer_message int(10) unsigned NOT NULL AUTO_INCREMENT,
  id_customer_thread int(11) DEFAULT NULL,
  id_employee int(10) unsigned DEFAULT NULL,
  message mediumtext NOT NULL,
  ip_address varchar(16) DEFAULT NULL,
  user_agent varchar(128) DEFAULT NULL,
  date_add datetime NOT NULL,
  private tinyint(1) NOT NULL DEFAULT 0,
  PRIMARY KEY (id_customer_message),
  KEY id_customer_thread (id_customer_thread),
  KEY id_employee (id_employee)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE ps_layered_price_index (
  id_product int(11) NOT NULL,
  id_currency int(11) NOT NULL,
  id_shop int(11) NOT NULL,
  price_min decimal(20,6) NOT NULL,
  price_max decimal(20,6) NOT NULL,
  id_country int(11) NOT NULL,
  PRIMARY KEY (id_product,id_currency,id_shop,id_country),
  KEY id_currency (id_currency),
  KEY price_min (price_min),
  KEY price_max (price_max)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE ps_product_comment (
  id_product_comment int(10) unsigned NOT NULL AUTO_INCREMENT,
  id_product int(10) unsigned NOT NULL,
  id_customer int(10) unsigned NOT NULL,
  title varchar(64) DEFAULT NULL,
  content text NOT NULL,
  customer_name varchar(64) DEFAULT NULL,
  grade float unsigned NOT NULL,
  helpfulness double DEFAULT NULL,
  validate tinyint(1) NOT NULL,
  date_add datetime NOT NULL,
  PRIMARY KEY (id_product_comment),
  KEY id_product (id_product)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE ps_colissimo_order (
  id_colissimo_order int(10) unsigned NOT NULL AUTO_INCREMENT,
  id_order int(10) unsigned NOT NULL,
  service varchar(10) NOT NULL,
  weight_kg float NOT NULL,
  PRIMARY KEY (id_colissimo_order),
  UNIQUE KEY one_per_order (id_order),
  CONSTRAINT colissimo_of_order FOREIGN KEY (id_order) REFERENCES ps_orders (id_order) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE ps_colissimo_label (
  id_colissimo_label int(10) unsigned NOT NULL AUTO_INCREMENT,
  id_colissimo_order int(10) unsigned NOT NULL,
  shipping_number varchar(45) NOT NULL,
  label_format enum('pdf','zpl','dpl') NOT NULL DEFAULT 'pdf',
  label mediumblob DEFAULT NULL,
  flags bit(6) NOT NULL DEFAULT b'0',
  date_add datetime(3) NOT NULL,
  PRIMARY KEY (id_colissimo_label),
  KEY of_order (id_colissimo_order),
  CONSTRAINT label_of_order FOREIGN KEY (id_colissimo_order) REFERENCES ps_colissimo_order (id_colissimo_order) ON DELETE CASCADE ON UPDATE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE ps_advsearch_index (
  id_product int(10) unsigned NOT NULL,
  id_lang int(10) unsigned NOT NULL,
  content mediumtext NOT NULL,
  PRIMARY KEY (id_product,id_lang),
  FULLTEXT KEY content (content)
) ENGINE=MyISAM DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci COMMENT='l''index du module « recherche avancée »';

CREATE TABLE ps_loyalty_point (
  id_customer int(10) unsigned NOT NULL,
  points int(11) NOT NULL,
  eur decimal(12,2) GENERATED ALWAYS AS (points / 20) STORED,
  updated timestamp(6) NOT NULL DEFAULT current_timestamp(6) ON UPDATE current_timestamp(6),
  PRIMARY KEY (id_customer),
  KEY eur (eur)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE ps_erp_export_queue (
  payload longtext NOT NULL CHECK (json_valid(payload)),
  sent tinyint(1) NOT NULL DEFAULT 0,
  date_add datetime NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=latin1 COMMENT='no key at all: two rows may be the same';

CREATE TABLE ps_webhook_inbox (
  id binary(16) NOT NULL,
  body blob NOT NULL,
  received datetime(6) NOT NULL,
  PRIMARY KEY (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb3;
